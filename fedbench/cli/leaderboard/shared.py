"""What the sub-commands have in common: which boards, which records, what holds of them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click

from fedbench.catalog import Catalog
from fedbench.cli.main import warn
from fedbench.leaderboard.board import Board, find_board, open_board
from fedbench.leaderboard.levels import Level
from fedbench.leaderboard.ranking import rank
from fedbench.leaderboard.site.build import plan_build
from fedbench.leaderboard.verify import Verdict, verify

RECORDS = Path("leaderboards", "records")

boards_argument = click.argument("boards", nargs=-1, metavar="[BOARD]...")
records_option = click.option(
    "--records",
    type=click.Path(path_type=Path),
    default=RECORDS,
    show_default=True,
    help="Folder of records.",
)


@dataclass(frozen=True)
class Collection:
    """A folder of records with what holds of them."""

    records: Path
    verdicts: Sequence[Verdict]

    @property
    def levels(self) -> dict[str, Level]:
        return {v.run.id: v.level for v in self.verdicts if v.run}

    def build(self, boards: Sequence[Board], catalog: Catalog, output: Path) -> int:
        """The site over these records; how many pages it has."""
        runs = [verdict.run for verdict in self.verdicts if verdict.run]
        standings = [rank(open_board(board, catalog), runs, self.levels) for board in boards]
        return plan_build(standings, runs, catalog, self.records, output, warn).write()


def collect(records: Path, catalog: Catalog) -> Collection:
    """The records below a folder, checked up to ``consistent``; no folder is no records."""
    return Collection(records, verify([records], catalog) if records.is_dir() else [])


def chosen(names: Sequence[str], catalog: Catalog) -> list[Board]:
    """The boards of these names, or all that are installed."""
    found: Any = names or [entry.qualified for entry in catalog.leaderboards.entries]
    return [find_board(name, catalog) for name in found]
