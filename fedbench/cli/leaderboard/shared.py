"""What the sub-commands have in common: which boards, which records."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import click

from fedbench.catalog import Catalog
from fedbench.cli.main import warn
from fedbench.errors import UsageError
from fedbench.leaderboard.boards import Board, find_board
from fedbench.leaderboard.gather import Gathered, gather
from fedbench.results.markdown import visible
from fedbench.results.store import RECORDS


class Folder(click.Path):
    """A path with a name: what lies beside ``.`` is not in it."""

    def __init__(self) -> None:
        super().__init__(path_type=Path)

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Path:
        path: Any = super().convert(value, param, ctx)
        return path if path.name not in ("", "..") else path.resolve()  # type: ignore[no-any-return]


boards_argument = click.argument("boards", nargs=-1, metavar="[BOARD]...")
records_option = click.option(
    "--records",
    type=Folder(),
    default=RECORDS,
    show_default=True,
    help="Folder of records.",
)


def chosen(names: Sequence[str], catalog: Catalog) -> list[Board]:
    """The boards of these names, or all that are installed."""
    wanted: Any = names or [entry.qualified for entry in catalog.leaderboards.entries]
    return [find_board(name, catalog) for name in wanted]


def paged(names: Sequence[str], catalog: Catalog) -> list[Board]:
    """The same, for pages that are called as their boards are."""
    found = chosen(names, catalog)
    for name, count in Counter(board.name for board in found).items():
        if count > 1:
            raise UsageError(
                f"{count} boards are called {name}",
                why="their pages would be one",
                fix="name the boards you want",
            )
    return found


def collect(records: Path, catalog: Catalog) -> Gathered:
    """The records below a folder, checked; one line for each that is not consistent and does not count."""
    found = gather(records, catalog)
    for verdict in found.refused:
        warn(f"{visible(str(verdict.path))}: {verdict.level.name} only: {verdict.problem}")
    return found
