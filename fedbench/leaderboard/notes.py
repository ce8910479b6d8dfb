"""The reasons why a consistent record counts on no board, such as chosen seeds or a changed scenario."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence

from fedbench.catalog import Catalog
from fedbench.leaderboard.boards import find_board
from fedbench.leaderboard.contest import open_board
from fedbench.leaderboard.ranking import rank
from fedbench.verification.ladder import Level, Verdict


def notes(catalog: Catalog, verdicts: Sequence[Verdict]) -> dict[str, str]:
    """By record id: why the record counts on none of the installed boards that have its scenario."""
    runs = [verdict.run for verdict in verdicts if verdict.run is not None]
    retired = {v.run.id: v.level for v in verdicts if v.run is not None and v.level == Level.retired}
    counted: set[str] = set()
    why: dict[str, list[str]] = defaultdict(list)
    for entry in catalog.leaderboards.entries:
        standings = rank(open_board(find_board(entry.qualified, catalog), catalog), runs, retired)
        counted |= {run.id for row in standings.rows for run in row.runs}
        for item in standings.left_out:
            why[item.run.id].append(item.why)
    return {run: "; ".join(dict.fromkeys(reasons)) for run, reasons in why.items() if run not in counted}
