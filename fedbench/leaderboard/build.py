"""The boards as Markdown files beside their records: the same records give the same bytes."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path

from fedbench.catalog import Catalog
from fedbench.files import write_atomic
from fedbench.leaderboard.boards import Board
from fedbench.leaderboard.contest import open_board
from fedbench.leaderboard.gather import Gathered
from fedbench.leaderboard.ranking import rank
from fedbench.leaderboard.standings import Standings
from fedbench.leaderboard.tables import document


def rank_boards(boards: Iterable[Board], catalog: Catalog, gathered: Gathered) -> list[Standings]:
    """The standings of each board over the records gathered."""
    return [rank(open_board(board, catalog), gathered.runs, gathered.levels) for board in boards]


def pages(boards: Iterable[Standings]) -> dict[str, str]:
    """A Markdown page for each board, by file name."""
    return {f"{standings.contest.board.name}.md": document(standings) for standings in boards}


def out_of_date(pages: Mapping[str, str], folder: Path) -> list[Path]:
    """Which files of ``folder`` are missing or differ from ``pages``, their texts by name."""
    paths = {folder / name: text.encode() for name, text in pages.items()}
    return [path for path, data in paths.items() if not path.is_file() or path.read_bytes() != data]


def write(pages: Mapping[str, str], folder: Path) -> list[Path]:
    """Write those of ``pages`` that are out of date in ``folder``; the paths written."""
    stale = out_of_date(pages, folder)
    for path in stale:
        write_atomic(path, pages[path.name])
    return stale
