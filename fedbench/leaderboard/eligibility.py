"""Which runs count on a board, and why the others do not."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from itertools import takewhile
from typing import Any

from fedbench.leaderboard.contest import BoardScenario, Contest
from fedbench.leaderboard.standings import LeftOut
from fedbench.results.run_summary import RunSummary
from fedbench.results.settings import commonest
from fedbench.verification.ladder import Level


def eligible(
    contest: Contest, runs: Iterable[RunSummary], levels: Mapping[str, Level]
) -> tuple[list[RunSummary], list[LeftOut]]:
    """The runs on the board's scenarios that count, in a fixed order, and those that do not.

    There is one for each contender, scenario and seed: of two, the one that was finished first. All of a
    scenario are of one setting (content and arithmetic), that of the most records.
    """
    wanted = {scenario.name: scenario for scenario in contest.scenarios}
    counting: dict[Any, RunSummary] = {}
    left_out = []
    candidates = [run for run in runs if run.scenario.name in wanted]
    candidates.sort(key=lambda run: (run.title, run.contender, run.seed, run.finished, run.id))
    objections = {run.id: _objection(contest, wanted[run.scenario.name], run) for run in candidates}
    settings = commonest([run.setting for run in candidates if not objections[run.id]])
    for run in candidates:
        why = objections[run.id]
        if not why and not run.setting.agrees(settings[run.scenario.fingerprint]):
            differs = run.setting.differs(settings[run.scenario.fingerprint])
            why = f"most records of the scenario are of another {differs}"
        if not why and levels.get(run.id, Level.consistent) < Level.consistent:
            retired = levels[run.id] == Level.retired
            why = "its method has changed since" if retired else "it is not consistent"
        key = (run.scenario.fingerprint, run.contender, run.seed)
        if not why and key in counting and counting[key].id != run.id:
            why = f"a second record of seed {run.seed}, the first one counts"
        if why:
            left_out.append(LeftOut(run, why))
        else:
            counting.setdefault(key, run)
    return list(counting.values()), left_out


def without_gap(seeds: Sequence[int], runs: Sequence[RunSummary]) -> tuple[list[RunSummary], list[LeftOut]]:
    """The ``runs`` of the board's first ``seeds`` up to the first one that is missing, and the others,
    whose seeds may be chosen ones."""
    by_seed = {run.seed: run for run in runs}
    first = list(takewhile(by_seed.__contains__, seeds))
    if len(first) == len(by_seed):
        return [by_seed[seed] for seed in first], []
    gap = next(seed for seed in seeds if seed not in by_seed)
    why = f"seed {gap} is missing, and seeds after a gap may be chosen ones"
    rest = [LeftOut(run, why) for seed, run in by_seed.items() if seed not in first]
    return [by_seed[seed] for seed in first], rest


def _objection(contest: Contest, scenario: BoardScenario, run: RunSummary) -> str:
    """Why ``run`` does not count, whatever the others are; empty if it does."""
    board, spent = contest.board, run.costs
    if run.status != "completed":
        return f"it is {run.status}"
    if scenario.problem:
        return scenario.problem
    if run.scenario.changes:
        changes = " ".join(f"{path}={value}" for path, value in run.scenario.changes.items())
        return f"its scenario was changed: {changes}"
    if (run.title, run.scenario.fingerprint) != (scenario.title, scenario.fingerprint):
        return f"made on {run.title}, another version than {scenario.title} as installed"
    if run.seed not in board.seeds:
        return f"seed {run.seed} is not one of the board's"
    if scenario.metric not in run.measures:
        return f"it has no {scenario.metric}"
    if board.hardware not in ("any", "cpu" if run.device == "cpu" else "cuda"):
        return f"run on {run.device}, the board is for {board.hardware}"
    limits = ((board.budget.examples, spent.client_examples), (board.budget.uplink_bytes, spent.uplink_bytes))
    if any(limit is not None and used > limit for limit, used in limits):
        return "beyond the board's budget"
    return "" if board.rules == "default" else _outside(contest, run)


def _outside(contest: Contest, run: RunSummary) -> str:
    """Which option of ``run`` is outside the declared space of the rules ``tuned``; empty if none is."""
    space = contest.board.space.get(run.method.name, {})
    known = contest.methods.get(run.contender[:2])
    for key, value in run.method.options.items():
        allowed = (*space.get(key, ()), *([known.defaults.get(key)] if known else []))
        if (known or key in space) and value not in allowed:
            return f"{key}={value} is outside the space that the board declares"
    return ""
