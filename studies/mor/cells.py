"""Cells of the tables about MoR: a method's mean, or a paired difference."""

from __future__ import annotations

from typing import Any

from fedbench.results.statistics import Interval
from mor.readers import at_start, first, last
from reporting import difference, with_error
from results import Reader, Results, final, primary
from study import Study

Options = dict[str, Any]


def cell(
    results: Results,
    method: str,
    scenario: str,
    read: Reader = primary,
    options: Options | None = None,
    seeds: int | None = None,
) -> str:
    """Mean ± standard error over seeds (the first ``seeds`` of them); empty where nothing has been run."""
    by_seed = results.values(Study(options=options or {}), method, scenario, read)
    return with_error(value for seed, value in by_seed.items() if seeds is None or seed < seeds)


def gap(
    results: Results,
    scenario: str,
    method: str = "mor",
    reference: str = "reward-mean",
    read: Reader = primary,
    ours: Options | None = None,
    theirs: Options | None = None,
) -> Interval | None:
    """``method`` under options ``ours`` minus ``reference`` under ``theirs``, paired by seed."""
    return difference(
        results.values(Study(options=ours or {}), method, scenario, read),
        results.values(Study(options=theirs or {}), reference, scenario, read),
    )


def within(
    results: Results,
    scenario: str,
    ours: Reader,
    theirs: Reader,
    method: str = "mor",
    options: Options | None = None,
) -> Interval | None:
    """One number of a method's records minus another of the same records."""
    study = Study(options=options or {})
    return difference(
        results.values(study, method, scenario, ours), results.values(study, method, scenario, theirs)
    )


def over_rounds(results: Results, scenario: str, method: str, name: str) -> Interval | None:
    """A round's measure, last round minus first."""
    return within(results, scenario, ours=last(name), theirs=first(name), method=method)


def online(results: Results, scenario: str, name: str, options: Options | None = None) -> Interval | None:
    """A measure of MoR's routing at the end minus the same before any feedback."""
    return within(results, scenario, ours=final(name), theirs=at_start(name), options=options)
