"""Figures of policy steps: what a step says of itself, and their means over a round."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping

from fedbench.api.metrics import Measure
from fedbench.evaluation.estimates import mean

LOSS = "policy/loss"
UNITS = {
    "policy/reward": ("reward", "neither"),
    "policy/gold": ("share", "higher"),
    "policy/kl": ("nats/token", "neither"),
    "policy/clipped": ("share", "neither"),
    "policy/unparsed": ("share", "lower"),
    "policy/tokens": ("tokens", "neither"),
}
"""Unit and better direction of each figure that a record has."""


class StepFigures:
    """The figures of a round's steps, by name."""

    def __init__(self) -> None:
        self.values: dict[str, list[float]] = defaultdict(list)

    def add(self, figures: Mapping[str, float]) -> None:
        """Add a step's figures."""
        for name, value in figures.items():
            self.values[name].append(value)

    def mean(self, name: str) -> float | None:
        """The mean over the steps; None without any."""
        return sum(self.values[name]) / len(self.values[name]) if name in self.values else None

    def measures(self) -> dict[str, Measure]:
        """Means over the steps, each step a group of its own."""
        return {
            name: Measure(**mean(values).measure([str(i) for i in range(len(values))], *UNITS[name]))
            for name, values in self.values.items()
            if name in UNITS
        }
