"""Canonical baselines and anchors: a module a paper; options in ``options.py``, names in ``hooks.py``."""
