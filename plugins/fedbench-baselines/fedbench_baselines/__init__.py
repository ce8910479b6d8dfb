"""Canonical baselines and anchors; one module per method."""
