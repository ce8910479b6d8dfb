"""The verification ladder: valid → consistent → replayed → reproduced. See ``docs/leaderboards.md``."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from enum import IntEnum
from pathlib import Path
from typing import Any

from fedbench.catalog import Catalog
from fedbench.results.run_summary import RunSummary, run_of
from fedbench.rng import numpy_stream
from fedbench.verification.agreement import Agreement
from fedbench.verification.consistency import inconsistencies
from fedbench.verification.safety import shown
from fedbench.verification.submission import Handed, handed_in
from fedbench.verification.validity import Installed, Refused, Retired, read_valid


class Level(IntEnum):
    """Each level includes the ones before it. ``retired`` is off the ladder: a record of an earlier version
    of its scenario or method, which stays where it is and counts on no board."""

    retired = -1
    unverified = 0
    valid = 1
    consistent = 2
    replayed = 3
    reproduced = 4


@dataclass(frozen=True)
class Verdict:
    """The highest ``level`` that holds of a file, and what the next one fell over (empty if nothing did).

    ``run`` is None if the file is no valid record."""

    path: Path
    level: Level
    problem: str = ""
    run: RunSummary | None = None

    def fails(self, asked: Level) -> bool:
        """Whether it falls short of the level asked for. What is retired doesn't, nor what no sample chose to
        run again."""
        if self.level == Level.retired:
            return False
        return self.level < asked if asked <= Level.valid else bool(self.problem)


Replay = Callable[[Path], str]
"""Runs the record of a file again, and says what came out otherwise (empty if nothing)."""


def verify(paths: Iterable[Path], catalog: Catalog) -> list[Verdict]:
    """How far up to ``consistent`` every file of ``paths`` gets, by itself and among the others.

    Files are read one by one; of each only what tables need is kept.
    """
    installed, agreement = Installed(catalog), Agreement()
    verdicts = [_alone(handed, installed, agreement) for handed in handed_in(paths)]
    return _together(verdicts, agreement)


def _alone(handed: Handed, installed: Installed, agreement: Agreement) -> Verdict:
    if handed.problem:
        return Verdict(handed.path, Level.unverified, handed.problem)
    try:
        record, scenario = read_valid(handed.path, installed, handed.place)
    except Refused as error:
        return Verdict(handed.path, Level.unverified, str(error))
    except Retired as error:
        return Verdict(handed.path, Level.retired, str(error), run_of(error.record, handed.path))
    run = run_of(record, handed.path)
    try:
        is_ceiling = installed.is_ceiling(record)
        problem = next(inconsistencies(record, scenario, is_ceiling=is_ceiling), "")
        agreement.add(str(handed.path), record, scenario)
    except Exception as error:  # a check that a record can bring down has not been passed
        problem = f"it can't be checked: {type(error).__name__}: {shown(str(error))}"
    return Verdict(handed.path, Level.valid if problem else Level.consistent, problem, run)


def _together(verdicts: Sequence[Verdict], agreement: Agreement) -> list[Verdict]:
    """Consistent is what does not contradict the other records, and has no twin among them."""
    duplicates: dict[Any, list[Verdict]] = defaultdict(list)
    for verdict in verdicts:
        if verdict.run is not None and verdict.level != Level.retired:
            run = verdict.run
            duplicates[run.scenario.fingerprint, run.contender, run.seed].append(verdict)
    against = agreement.objections()
    for found in duplicates.values():
        for verdict in found[1:]:
            against[str(verdict.path)] = f"a second record of this seed: {found[0].path} is the first"
    return [
        replace(verdict, level=Level.valid, problem=why)
        if verdict.level == Level.consistent and (why := against.get(str(verdict.path), ""))
        else verdict
        for verdict in verdicts
    ]


def climb(
    verdicts: Sequence[Verdict],
    level: Level,
    replay: Replay,
    sample: int | None = None,
    seed: int = 0,
    can: Callable[[RunSummary], bool] = lambda run: True,
) -> list[Verdict]:
    """The verdicts after every consistent record was run again, or a ``sample`` of those that ``can`` be,
    which takes it to ``level`` unless something came out otherwise."""
    sound = sorted((v for v in verdicts if v.level == Level.consistent), key=lambda v: v.path)
    chosen = {verdict.path for verdict in sound}
    if sample is not None:
        able = [verdict for verdict in sound if verdict.run and can(verdict.run)]
        drawn = numpy_stream(seed, "replay").choice(len(able), min(sample, len(able)), replace=False)
        chosen = {able[i].path for i in drawn}
    return [_again(verdict, level, replay) if verdict.path in chosen else verdict for verdict in verdicts]


def _again(verdict: Verdict, level: Level, replay: Replay) -> Verdict:
    problem = replay(verdict.path)
    return replace(verdict, problem=problem) if problem else replace(verdict, level=level)
