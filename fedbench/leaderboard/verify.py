"""The verification ladder: valid → consistent → replayed → reproduced. See ``docs/leaderboards.md``."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from fedbench.catalog import Catalog
from fedbench.leaderboard.agreement import Agreement
from fedbench.leaderboard.consistency import inconsistencies
from fedbench.leaderboard.levels import Level
from fedbench.leaderboard.safety import shown
from fedbench.leaderboard.submission import Handed, handed_in
from fedbench.leaderboard.validity import Installed, Refused, read_valid
from fedbench.results.runs import Run, run_of


@dataclass(frozen=True)
class Verdict:
    """The highest ``level`` that holds of a file, and what the next one fell over (empty if nothing did).

    ``run`` is None if the file is no valid record."""

    path: Path
    level: Level
    problem: str = ""
    run: Run | None = None


Replay = Callable[[Verdict], str]
"""Runs a verdict's record again, and says what came out otherwise (empty if nothing)."""


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
    run = run_of(record, handed.path)
    try:
        problem = next(inconsistencies(record, scenario), "")
        agreement.add(str(handed.path), record)
    except Exception as error:  # a check that a record can bring down has not been passed
        problem = f"it can't be checked: {type(error).__name__}: {shown(str(error))}"
    return Verdict(handed.path, Level.valid if problem else Level.consistent, problem, run)


def _together(verdicts: Sequence[Verdict], agreement: Agreement) -> list[Verdict]:
    """Consistent is what does not contradict the other records, and has no twin among them."""
    twins: dict[Any, list[Verdict]] = defaultdict(list)
    for verdict in verdicts:
        if verdict.run is not None:
            run = verdict.run
            twins[run.scenario.fingerprint, run.contender, run.seed].append(verdict)
    against = agreement.objections()
    for found in twins.values():
        for verdict in found[1:]:
            against[str(verdict.path)] = f"a second record of this seed: {found[0].path} is the first"
    return [
        replace(verdict, level=Level.valid, problem=why)
        if verdict.level == Level.consistent and (why := against.get(str(verdict.path), ""))
        else verdict
        for verdict in verdicts
    ]


def climb(verdicts: Iterable[Verdict], level: Level, replay: Replay) -> list[Verdict]:
    """Those that are consistent, replayed or reproduced as ``level`` says."""
    risen = []
    for verdict in verdicts:
        if verdict.level == Level.consistent and (problem := replay(verdict)):
            risen.append(replace(verdict, problem=problem))
        elif verdict.level == Level.consistent:
            risen.append(replace(verdict, level=level))
        else:
            risen.append(verdict)
    return risen
