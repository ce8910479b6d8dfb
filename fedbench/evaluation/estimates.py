"""Estimates with cluster-robust standard errors.

Items about one concept are not independent, so errors are summed within a group before they are
squared (the linearised, or sandwich, estimator with the usual G/(G−1) correction).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np


@dataclass(frozen=True)
class Estimate:
    """A value measured on n items, and each item's influence on it.

    >>> from fedbench import mean
    >>> estimate = mean([1.0, 0.0, 1.0, 1.0])
    >>> estimate.measure(groups=["dog", "dog", "cat", "cow"], unit="share")["value"]
    0.75
    """

    value: float
    """The value."""
    influence: np.ndarray
    """[n]: each item's first-order influence on the value; they add up to 0."""
    scores: np.ndarray
    """[n]: a number for each item, of which the value is the mean: the item's own number where the value is a
    mean over items, else value + n · influence (the linearised estimator)."""

    def measure(self, groups: Sequence[str], unit: str, better: str = "higher") -> dict[str, Any]:
        """Make a ``Measure`` as a plain dictionary, its standard error clustered by ``groups``."""
        _, cluster = np.unique(np.asarray(groups), return_inverse=True)
        sums = np.bincount(cluster, weights=self.influence)
        count = len(sums)
        se = float(np.sqrt(count / (count - 1) * (sums**2).sum())) if count > 1 else None
        return {"value": self.value, "se": se, "n": len(self.influence), "unit": unit, "better": better}

    def figures(self, groups: Sequence[str], unit: str, better: str = "higher") -> dict[str, Any]:
        """What a metric gives for a value: its measure, and the items' ``scores``."""
        return {**self.measure(groups, unit, better), "scores": self.scores}


def ratio(numerator: Sequence[float] | np.ndarray, denominator: Sequence[float] | np.ndarray) -> Estimate:
    """Estimate Σ numerator / Σ denominator; NaN where the denominator is 0.

    >>> from fedbench import ratio
    >>> ratio([3.0, 1.0], [2, 2]).value  # nats per token, over two texts
    1.0
    """
    top, bottom = np.asarray(numerator, dtype=np.float64), np.asarray(denominator, dtype=np.float64)
    total = bottom.sum()
    if not total:
        nothing = np.zeros_like(top)
        return Estimate(value=float("nan"), influence=nothing, scores=np.full_like(top, np.nan))
    value = top.sum() / total
    influence = (top - value * bottom) / total
    return Estimate(value=float(value), influence=influence, scores=value + len(top) * influence)


def mean(values: Sequence[float] | np.ndarray) -> Estimate:
    """Estimate the mean over items.

    >>> from fedbench import mean
    >>> mean([1.0, 0.0]).value
    0.5
    """
    return replace(ratio(values, np.ones(len(values))), scores=np.asarray(values, dtype=np.float64))


def average(first: Estimate, second: Estimate) -> Estimate:
    """(first + second) / 2, with their covariance."""
    return Estimate(
        value=(first.value + second.value) / 2,
        influence=(first.influence + second.influence) / 2,
        scores=(first.scores + second.scores) / 2,
    )
