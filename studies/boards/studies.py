"""What the nano boards need: every method on every scenario of theirs, the anchors first."""

from __future__ import annotations

from collections.abc import Iterator

from fedbench.catalog import Catalog
from fedbench.leaderboard.boards import find_board
from fedbench.plugins import Plugins
from fedbench.results.anchors import ANCHORS
from study import Study

REFUSED = {("reward-fedavg", "prefs-heterogeneous")}
"""Reward models of several kinds have no average."""
BOARDS = ("alignment-nano", "preference-nano")


def studies(name: str, catalog: Catalog) -> Iterator[Study]:
    """A board's anchors on all of its scenarios, then everybody else."""
    board = find_board(name, catalog)
    anchors = board.anchors or ANCHORS[board.track]
    methods = [e.name for e in catalog.methods.entries if e.spec.track in (board.track, "any")]
    others = [name for name in methods if name not in anchors.all]
    scenarios = [scenario.partition("@")[0] for scenario in board.scenarios]
    for group in (anchors.all, others):
        for scenario in scenarios:
            taking_part = tuple(method for method in group if (method, scenario) not in REFUSED)
            yield Study((scenario,), taking_part, seeds=len(board.seeds))


STUDIES = [study for name in BOARDS for study in studies(name, Catalog(Plugins()))]
