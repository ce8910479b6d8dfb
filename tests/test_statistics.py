"""Intervals over a handful of seeds: they cover what they say they cover."""

import numpy as np
import pytest
from scipy.stats import bootstrap, ttest_1samp

from fedbench.results.statistics import interval


def test_it_is_students_interval_up_to_the_resampling():
    values = [0.5, 0.53, 0.58, 0.51]
    found, exact = interval(values), ttest_1samp(values, 0).confidence_interval(0.95)
    assert (found.low, found.high) == (
        pytest.approx(exact.low, abs=2e-3),
        pytest.approx(exact.high, abs=2e-3),
    )
    assert found.mean == pytest.approx(0.53) and found.n == 4 and found.clear


def test_the_resampling_is_scipys():
    values = [0.5, 0.53, 0.58, 0.51]
    theirs = bootstrap((values,), np.mean, n_resamples=50_000, method="percentile", rng=0).standard_error
    half = (interval(values).high - interval(values).low) / 2
    assert half == pytest.approx(3.1824 * np.sqrt(4 / 3) * theirs, rel=0.03)


def test_equal_values_have_no_spread_and_one_value_has_no_interval():
    same = interval([0.3, 0.3, 0.3])
    assert (same.low, same.mean, same.high, same.clear) == (0.3, 0.3, 0.3, True)
    assert not interval([0.0, 0.0, 0.0]).clear
    one = interval([0.3])
    assert (one.low, one.high, one.n, one.clear) == (None, None, 1, False)


def test_the_same_values_give_the_same_interval():
    assert interval([0.1, 0.4, 0.2]) == interval([0.1, 0.4, 0.2])


@pytest.mark.parametrize("seeds", [3, 5])
def test_it_covers_where_the_percentile_bootstrap_does_not(seeds):
    """300 normal samples of few values: 95 % intervals must hold the mean nearly that often."""
    draws = np.random.default_rng(0).normal(1.0, 0.1, (300, seeds))
    ours = np.mean([found.low <= 1.0 <= found.high for found in map(interval, draws.tolist())])
    plain = [
        bootstrap((row,), np.mean, n_resamples=1000, method="percentile", rng=0).confidence_interval
        for row in draws
    ]
    theirs = np.mean([found.low <= 1.0 <= found.high for found in plain])
    assert ours > 0.92 and theirs < 0.87
