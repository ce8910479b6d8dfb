"""From an entry of a board back to the commands, options and machines that made it."""

from __future__ import annotations

import shlex
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from fedbench.fingerprint import canonical_json
from fedbench.leaderboard.contest import Contest
from fedbench.leaderboard.standings import Row
from fedbench.results.anchors import sole_provider
from fedbench.results.run_command import run_command
from fedbench.results.run_summary import RunSummary


@dataclass(frozen=True)
class OptionSet:
    """What an entry was run with, on which scenarios, and the ``command`` that runs it again. ``unusual`` are
    the names of the options that differ from the ``defaults`` of the method as installed here."""

    options: Mapping[str, Any]
    defaults: Mapping[str, Any]
    unusual: frozenset[str]
    scenarios: tuple[str, ...]
    command: str


def option_sets(contest: Contest, row: Row) -> list[OptionSet]:
    """One under the rules ``default``; one or more under ``tuned``."""
    groups: dict[str, list[RunSummary]] = defaultdict(list)
    for run in row.runs:
        groups[canonical_json(run.method.options)].append(run)
    return [_option_set(contest, row, runs) for runs in groups.values()]


def _option_set(contest: Contest, row: Row, runs: list[RunSummary]) -> OptionSet:
    first = runs[0].method
    known = contest.methods.get((first.name, first.provider.plugin))
    defaults = known.defaults if known else {}
    unusual = [key for key, value in first.options.items() if defaults.get(key, ...) != value]
    scenarios = tuple(dict.fromkeys(run.scenario.name for run in runs))
    sole = sole_provider(first.name, contest.methods) == first.provider.plugin
    command = run_command(
        methods=[first.name if sole else f"{first.provider.plugin}/{first.name}"],
        scenarios=scenarios,
        seeds=[run.seed for run in runs],
        options={key: first.options[key] for key in unusual},
        changes={},
    )
    return OptionSet(
        options=first.options,
        defaults=defaults,
        unusual=frozenset(unusual),
        scenarios=scenarios,
        command=shlex.join(command),
    )


def environments(runs: Sequence[RunSummary]) -> list[tuple[Mapping[str, Any], int]]:
    """The different environments of ``runs`` and how many of them each had, the commonest first."""
    by_key = {canonical_json(run.environment): run.environment for run in runs}
    counts = Counter(canonical_json(run.environment) for run in runs)
    return [(by_key[key], counts[key]) for key in sorted(counts, key=lambda key: (-counts[key], key))]
