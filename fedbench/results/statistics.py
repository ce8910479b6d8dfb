"""Bootstrapped intervals for means over a handful of seeds."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cache
from math import sqrt
from statistics import fmean, stdev

import numpy as np

from fedbench.rng import numpy_stream

CONFIDENCE = 0.95
RESAMPLES = 2000
EQUAL = 1e-12
"""Values closer than this are the same; they have no spread to resample."""


@dataclass(frozen=True, slots=True)
class Interval:
    """A mean over seeds and its 95 % interval."""

    mean: float
    """The mean."""
    low: float | None
    """The lower end; None for a single seed."""
    high: float | None
    """The upper end; None for a single seed."""
    n: int
    """The number of seeds."""

    @property
    def clear(self) -> bool:
        """Whether zero lies outside the interval."""
        return self.low is not None and self.high is not None and (self.low > EQUAL or self.high < -EQUAL)


def interval(values: Sequence[float]) -> Interval:
    """Compute the 95 % interval of a mean over seeds: mean ± t(n−1) · √(n/(n−1)) · bootstrap standard error.

    A percentile bootstrap of three seeds covers 75 %, since it never leaves the range of its values; with
    Student's t for the bootstrap's normal and the factor that makes its variance unbiased the coverage is
    right (Hesterberg 2015, arXiv 1411.5279, §5). Equal values give equal intervals.
    """
    n, mean = len(values), fmean(values)
    if n < 2:
        return Interval(mean, None, None, n)
    if max(values) - min(values) <= EQUAL:
        return Interval(mean, mean, mean, n)
    weights, student = _resampling(n)
    reach = student * sqrt(n / (n - 1)) * float(np.std(values @ weights, ddof=1))
    return Interval(mean, mean - reach, mean + reach, n)


@cache
def _resampling(n: int) -> tuple[np.ndarray, float]:
    """How much each of ``n`` values weighs in the mean of each resample, [n, RESAMPLES], and Student's t.

    A mean is linear, so the resampled means of the unit vectors give those of any values.
    """
    from scipy.special import stdtrit
    from scipy.stats import bootstrap

    stream = numpy_stream(0, "bootstrap", n)
    resampled = bootstrap(
        (np.eye(n),), np.mean, axis=-1, n_resamples=RESAMPLES, method="percentile", rng=stream
    )
    return resampled.bootstrap_distribution, float(stdtrit(n - 1, (1 + CONFIDENCE) / 2))


def standard_error(values: Sequence[float]) -> float | None:
    """Compute the standard error of the mean of ``values``; None for a single value."""
    return stdev(values) / sqrt(len(values)) if len(values) > 1 else None


def known_mean(values: Iterable[float | None]) -> float | None:
    """Average the values that are not None; None if all are."""
    known = [value for value in values if value is not None]
    return fmean(known) if known else None
