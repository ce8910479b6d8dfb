"""What the sub-commands have in common: which boards, which records."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import click

from fedbench.catalog import Catalog
from fedbench.cli.main import warn
from fedbench.leaderboard.board import Board, find_board
from fedbench.leaderboard.gather import Gathered, gather
from fedbench.results.store import RECORDS

boards_argument = click.argument("boards", nargs=-1, metavar="[BOARD]...")
records_option = click.option(
    "--records",
    type=click.Path(path_type=Path),
    default=RECORDS,
    show_default=True,
    help="Folder of records.",
)


def chosen(names: Sequence[str], catalog: Catalog) -> list[Board]:
    """The boards of these names, or all that are installed."""
    found: Any = names or [entry.qualified for entry in catalog.leaderboards.entries]
    return [find_board(name, catalog) for name in found]


def collect(records: Path, catalog: Catalog) -> Gathered:
    """The records below a folder, checked; one line for each that is not consistent and does not count."""
    found = gather(records, catalog)
    for verdict in found.refused:
        warn(f"{verdict.path}: {verdict.level.name} only: {verdict.problem}")
    return found
