"""The verification ladder: valid → consistent → replayed → reproduced. See ``docs/leaderboards.md``."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Hashable, Iterable, Sequence
from dataclasses import dataclass, replace
from enum import IntEnum
from pathlib import Path
from typing import Protocol

from fedbench.catalog import Catalog
from fedbench.results.run_summary import RunSummary, run_of
from fedbench.rng import numpy_stream
from fedbench.verification.agreement import Agreement, Fact, shared_facts
from fedbench.verification.consistency import inconsistencies
from fedbench.verification.installed import Installed, InvalidRecord, RetiredRecord
from fedbench.verification.safety import quoted
from fedbench.verification.submission import SubmittedFile, submitted_files
from fedbench.verification.validity import read_valid


class Level(IntEnum):
    """How far a record was verified; each level includes the ones before it.

    ``retired`` is off the ladder: a record of an earlier version of its scenario or method, which stays where
    it is and counts on no board.
    """

    retired = -1
    unverified = 0
    valid = 1
    consistent = 2
    replayed = 3
    reproduced = 4


@dataclass(frozen=True)
class Verdict:
    """The highest level that holds of a file."""

    path: Path
    level: Level
    problem: str = ""
    """Why the next level does not hold; empty if no check refused it."""
    run: RunSummary | None = None
    """The record's run; None if the file is no valid record."""

    def fails(self, required: Level) -> bool:
        """Whether the file falls short of the ``required`` level.

        A retired record does not, nor one that no sample chose to run again.
        """
        if self.level == Level.retired:
            return False
        return self.level < required if required <= Level.valid else bool(self.problem)


@dataclass(frozen=True)
class Checked:
    """What the check of a single file came to, before it is held against the others."""

    level: Level
    """How far it was verified by itself."""
    problem: str
    """Why the next level does not hold; empty if no check refused it."""
    run: RunSummary | None
    """The record's run; None if the file is no valid record."""
    facts: tuple[Fact, ...] = ()
    """What it must share with other records."""


class KnownChecks(Protocol):
    """Checks of files that were made before."""

    def key(self, file: SubmittedFile) -> str:
        """Identify the check of a file as it is now; empty if it can't be read."""
        ...

    def get(self, key: str) -> Checked | None:
        """Look up a check; None if it was not made yet."""
        ...

    def put(self, key: str, checked: Checked) -> None:
        """Keep a check."""
        ...


Replay = Callable[[Path], str]
"""Runs the record of a file again, and says what came out otherwise (empty if nothing)."""


def verify(paths: Iterable[Path], catalog: Catalog, known: KnownChecks | None = None) -> list[Verdict]:
    """How far up to ``consistent`` every file of ``paths`` gets, by itself and among the others.

    Files are read one by one; of each only what tables need is kept. A check that is ``known`` is not made
    again, and one that is made is put there.
    """
    installed, agreement, verdicts = Installed(catalog), Agreement(), []
    for file in submitted_files(paths):
        checked = _checked(file, installed, known) if known else _check_alone(file, installed)
        agreement.add(str(file.path), checked.facts)
        run = checked.run and replace(checked.run, path=file.path)
        verdicts.append(Verdict(path=file.path, level=checked.level, problem=checked.problem, run=run))
    return _check_together(verdicts, agreement.objections())


def _checked(file: SubmittedFile, installed: Installed, known: KnownChecks) -> Checked:
    """The check of one file, made unless it is ``known``."""
    if file.problem:
        return _check_alone(file, installed)
    key = known.key(file)
    if (there := known.get(key)) is not None:
        return there
    checked = _check_alone(file, installed)
    if key and known.key(file) == key:  # nobody changed the file meanwhile
        known.put(key, checked)
    return checked


def _check_alone(file: SubmittedFile, installed: Installed) -> Checked:
    """The check of one file by itself."""
    if file.problem:
        return Checked(level=Level.unverified, problem=file.problem, run=None)
    try:
        record, scenario = read_valid(file.path, installed, file.place)
    except InvalidRecord as error:
        return Checked(level=Level.unverified, problem=str(error), run=None)
    except RetiredRecord as error:
        return Checked(level=Level.retired, problem=str(error), run=run_of(error.record))
    facts: tuple[Fact, ...] = ()
    try:
        is_ceiling = installed.is_ceiling(record)
        problem = next(inconsistencies(record, scenario, is_ceiling=is_ceiling), "")
        facts = tuple(shared_facts(record, scenario))
    except Exception as error:  # a check that a record can bring down has not been passed
        problem = f"it can't be checked: {type(error).__name__}: {quoted(str(error))}"
    level = Level.valid if problem else Level.consistent
    return Checked(level=level, problem=problem, run=run_of(record), facts=facts)


def _check_together(verdicts: Sequence[Verdict], objections: dict[str, str]) -> list[Verdict]:
    """Takes ``consistent`` from records that others object to, and from second records of a seed."""
    problems = objections | _second_records(verdicts)
    return [
        replace(verdict, level=Level.valid, problem=problem)
        if verdict.level == Level.consistent and (problem := problems.get(str(verdict.path), ""))
        else verdict
        for verdict in verdicts
    ]


def _second_records(verdicts: Sequence[Verdict]) -> dict[str, str]:
    """By path, the problem of every record but the first of a scenario, method, option set and seed."""
    by_run: dict[Hashable, list[Verdict]] = defaultdict(list)
    for verdict in verdicts:
        if (run := verdict.run) is not None and verdict.level != Level.retired:
            by_run[run.scenario.fingerprint, run.contender, run.seed].append(verdict)
    return {
        str(verdict.path): f"a second record of this seed: {same[0].path} is the first"
        for same in by_run.values()
        for verdict in same[1:]
    }


def run_again(
    verdicts: Sequence[Verdict],
    level: Level,
    replay: Replay,
    *,
    sample: int | None = None,
    seed: int = 0,
    can_run: Callable[[RunSummary], bool] = lambda run: True,
) -> list[Verdict]:
    """The verdicts after consistent records were run again, which takes them to ``level``.

    All of them are run, or a ``sample`` of those that ``can_run``, drawn by ``seed``. A record whose run came
    out otherwise stays ``consistent``, with the difference as its problem.
    """
    consistent = sorted((v for v in verdicts if v.level == Level.consistent), key=lambda v: v.path)
    chosen = {verdict.path for verdict in consistent}
    if sample is not None:
        able = [verdict for verdict in consistent if verdict.run and can_run(verdict.run)]
        drawn = numpy_stream(seed, "replay").choice(len(able), min(sample, len(able)), replace=False)
        chosen = {able[i].path for i in drawn}
    return [_replayed(verdict, level, replay) if verdict.path in chosen else verdict for verdict in verdicts]


def _replayed(verdict: Verdict, level: Level, replay: Replay) -> Verdict:
    problem = replay(verdict.path)
    return replace(verdict, problem=problem) if problem else replace(verdict, level=level)
