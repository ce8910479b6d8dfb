"""Building the site: verified records in, a folder of pages out; the same bytes for the same records."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path

from fedbench.catalog import Catalog
from fedbench.errors import UsageError
from fedbench.leaderboard.board import Board, open_board
from fedbench.leaderboard.levels import Level
from fedbench.leaderboard.ranking import rank
from fedbench.leaderboard.site import urls
from fedbench.leaderboard.site.pages import GENERATOR, Page, Site
from fedbench.results.runs import Run

COPIED = "records"
"""Where a site keeps its records, unless they lie beside it."""


def build_site(
    boards: Sequence[Board],
    catalog: Catalog,
    records: Path,
    runs: Sequence[Run],
    levels: Mapping[str, Level],
    output: Path,
    warn: Callable[[str], None] = lambda line: None,
) -> int:
    """Write the site into ``output``, in place of an earlier one; return how many pages it has.

    ``runs`` were read from the folder ``records``; ``levels`` says what was verified of them. Records beside
    the site (``x/records`` and ``x/site``) are linked where they lie; else they are copied into it, so that
    the folder can go anywhere. ``warn`` hears what could not be shown.
    """
    _check_replaceable(output)
    beside = records.resolve().parent == output.resolve().parent
    folder = f"../{records.name}" if beside else COPIED
    places = {run.id: run.path.relative_to(records).as_posix() for run in runs if run.path}
    site = Site(
        boards=tuple(rank(open_board(board, catalog), runs, levels) for board in boards),
        catalog=catalog,
        records={run: f"{folder}/{place}" for run, place in places.items()},
        warn=warn,
    )
    output.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=".site-", dir=output.parent) as temporary:
        new = Path(temporary) / "new"
        number = _write(new, site.pages())
        if not beside:
            for place in places.values():
                _copy(records / place, new / COPIED / place)
        if output.exists():
            output.rename(Path(temporary) / "old")
        new.rename(output)
    return number


def _check_replaceable(output: Path) -> None:
    """Only a site is ever replaced."""
    index = output / urls.INDEX
    if not output.exists() or (output.is_dir() and not any(output.iterdir())):
        return
    if index.is_file() and GENERATOR in index.read_text(encoding="utf-8", errors="replace"):
        return
    raise UsageError(
        "won't replace what is there", where=output, why="it is not a site that fedbench built",
        fix="choose another --output",
    )  # fmt: skip


def _write(folder: Path, files: Iterable[Page]) -> int:
    number = 0
    for name, content in files:
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
        number += path.suffix == ".html"
    return number


def _copy(source: Path, target: Path) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    shutil.copyfile(source, target)
