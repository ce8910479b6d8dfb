"""Filling a board: which of its runs have no record yet, and running them one after another."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import islice, product
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fedbench.catalog import Catalog
from fedbench.errors import FedbenchError, UsageError, suggest
from fedbench.jobs import Job, plan_jobs
from fedbench.leaderboard.boards import Board
from fedbench.leaderboard.contest import BoardScenario, Contest
from fedbench.results.anchors import sole_provider
from fedbench.results.layout import run_id
from fedbench.results.run_summary import RunSummary

if TYPE_CHECKING:
    from fedbench.runner import Runner


def board_jobs(
    contest: Contest,
    catalog: Catalog,
    *,
    output: Path,
    methods: Sequence[str] = (),
    scenarios: Sequence[str] = (),
    seeds: Sequence[int] = (),
    warn: Callable[[str], None] = lambda line: None,
) -> list[Job]:
    """The runs of a board that are to lie below ``output``: methods × scenarios × seeds.

    ``methods``, ``scenarios`` and ``seeds`` restrict them; :class:`UsageError` if the board has no such
    scenario or seed. All first seeds come before the second ones and anchors before others, so that a board
    opens soon. ``warn`` is called with a line for each scenario that can't be run here.
    """
    board = contest.board
    names = catalog.methods.select(methods) if methods else None
    wanted = [entry.qualified for entry in names] if names is not None else _methods(contest, catalog)
    usable = list(_scenarios(contest, scenarios, warn))
    if strange := set(seeds) - set(board.seeds):
        raise UsageError(
            f"seed {min(strange)} is not one of {board.name}'s", fix=f"it has {_listed(board.seeds)}"
        )
    jobs = [
        job
        for method in wanted
        for options in _option_sets(board, method)
        for job in plan_jobs(
            catalog,
            methods=[method],
            scenarios=[s.name for s in usable if s.name not in board.without.get(method.split("/")[-1], ())],
            seeds=[seed for seed in board.seeds if seed in (seeds or board.seeds)],
            options=options,
            changes={},
            output=output,
        )
    ]
    positions = {scenario.name: position for position, scenario in enumerate(usable)}
    return sorted(
        jobs,
        key=lambda job: (
            board.seeds.index(job.seed),
            job.method_entry.name not in contest.anchors.all,
            positions[job.scenario.name],
        ),
    )


def missing_jobs(jobs: Iterable[Job], runs: Iterable[RunSummary]) -> list[Job]:
    """Those of ``jobs`` of which none of ``runs`` is the record."""
    there = {
        run_id(
            run.scenario.fingerprint,
            run.method.name,
            run.method.provider.plugin,
            run.method.options,
            run.seed,
        )
        for run in runs
    }
    return [job for job in jobs if job.run_id not in there]


def run_board(jobs: Iterable[Job], runner: Runner) -> tuple[list[Path], list[FedbenchError]]:
    """Run every job that isn't done; the paths of the records, and what failed.

    A run that fails stops no other, and one that another process is at is passed over, so that several
    processes may fill a board together.
    """
    from fedbench.runner import Busy, run_jobs

    paths, failures = [], []
    for job in jobs:
        done, failed = run_jobs(runner, [job])
        paths += done
        failures += [error for error in failed if not isinstance(error, Busy)]
    return paths, failures


def _methods(contest: Contest, catalog: Catalog) -> list[str]:
    """The board's anchors and its methods, all that are installed of its track when it names none."""
    board = contest.board
    if board.methods:
        named = catalog.methods.select(dict.fromkeys((*contest.anchors.all, *board.methods)))
        return [entry.qualified for entry in named]
    anchors = [
        f"{plugin}/{name}" for name in contest.anchors.all if (plugin := sole_provider(name, contest.methods))
    ]
    others = [
        entry.qualified
        for entry in catalog.methods.entries
        if entry.spec.track in (board.track, "any") and (entry.name, entry.plugin.name) in contest.methods
    ]
    return list(dict.fromkeys([*anchors, *others]))


def _scenarios(
    contest: Contest, names: Sequence[str], warn: Callable[[str], None]
) -> Iterator[BoardScenario]:
    """The board's scenarios of these ``names``, all when there is none, that can be run here."""
    known = [scenario.name for scenario in contest.scenarios]
    for name in names:
        if name not in known:
            raise UsageError(f"{contest.board.name} has no scenario {name!r}", fix=suggest(name, known))
    for scenario in contest.scenarios:
        if scenario.name in (names or known):
            if scenario.problem:
                warn(f"{scenario.name} can't be run: {scenario.problem}")
            else:
                yield scenario


def _option_sets(board: Board, method: str) -> Iterator[dict[str, Any]]:
    """The options to run a method with: its defaults; under the rules ``tuned`` the grid of its space, in
    order and up to the board's limit."""
    space = board.space.get(method.split("/")[-1], {})
    grid = (dict(zip(space, values, strict=True)) for values in product(*space.values()))
    return islice(grid, board.most_trials)


def _listed(seeds: Iterable[int]) -> str:
    return ", ".join(map(str, seeds))
