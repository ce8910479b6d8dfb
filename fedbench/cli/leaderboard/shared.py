"""Arguments that several sub-commands take, boards and records, and looking them up."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import click

from fedbench.catalog import Catalog
from fedbench.cli.main import warn
from fedbench.errors import UsageError
from fedbench.leaderboard.boards import Board, find_board
from fedbench.leaderboard.gather import Gathered, gather
from fedbench.leaderboard.record_sources import FORMS, open_source
from fedbench.leaderboard.sources.fetching import RecordSource
from fedbench.results.markdown import visible
from fedbench.results.store import RECORDS

boards_argument = click.argument("boards", nargs=-1, metavar="[BOARD]...")
folder_option = click.option(
    "--records",
    type=click.Path(path_type=Path),
    default=RECORDS,
    show_default=True,
    help="Folder of records.",
)
records_option = click.option(
    "--records",
    multiple=True,
    metavar="SOURCE",
    default=[str(RECORDS)],
    show_default=True,
    help=f"Where records are: {FORMS}. Repeatable.",
)


def open_sources(names: Sequence[str]) -> list[RecordSource]:
    """Open each source of records named, once."""
    return [open_source(name) for name in dict.fromkeys(names)]


def chosen(names: Sequence[str], catalog: Catalog) -> list[Board]:
    """Look up the boards named, or all that are installed."""
    names = names or [entry.qualified for entry in catalog.leaderboards.entries]
    return [find_board(name, catalog) for name in names]


def paged(names: Sequence[str], catalog: Catalog) -> list[Board]:
    """Look up boards for pages, which are named after them; :class:`UsageError` if two have one name."""
    boards = chosen(names, catalog)
    for name, count in Counter(board.name for board in boards).items():
        if count > 1:
            raise UsageError(
                f"{count} boards are called {name}",
                why="their pages would be one",
                fix="name the boards you want",
            )
    return boards


def collect(sources: Sequence[RecordSource], catalog: Catalog) -> Gathered:
    """Check the records of ``sources``; warn of each that is not consistent, so that it does not count."""
    gathered = gather(sources, catalog)
    for verdict in gathered.refused:
        warn(f"{visible(str(verdict.path))}: {verdict.level.name} only: {verdict.problem}")
    return gathered


def home(sources: Sequence[RecordSource], site: Path | None = None) -> Path:
    """Find the folder for tables and site: the parent of the first local source, else of ``site``, else of a
    checkout's records."""
    own = [source.folder.parent for source in sources if not source.remote]
    return own[0] if own else site.absolute().parent if site else RECORDS.parent
