"""Building the site: records in, a folder of pages out; the same bytes for the same records and plugins."""

from __future__ import annotations

import json
import shutil
import tempfile
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path

from fedbench.catalog import Catalog
from fedbench.errors import UsageError
from fedbench.leaderboard.board import Board, open_board
from fedbench.leaderboard.levels import Level
from fedbench.leaderboard.ranking import rank
from fedbench.leaderboard.site import urls
from fedbench.leaderboard.site.pages import GENERATOR, Page, Site, Source
from fedbench.results.runs import Run, run_of
from fedbench.results.store import RECORD, read_record

COPIED = "records"
"""Where a site keeps its records, unless they lie beside it."""


def build_site(
    boards: Sequence[Board],
    catalog: Catalog,
    records: Path,
    output: Path,
    *,
    levels: Mapping[str, Level] | None = None,
    warn: Callable[[str], None] = lambda line: None,
) -> int:
    """Write the site into ``output``, in place of an earlier one; return how many pages it has.

    Records beside the site (``x/records`` and ``x/site``) are linked where they lie; else all are copied
    into it, so that the folder can go anywhere. ``warn`` hears what could not be shown.
    """
    _check_replaceable(output)
    paths = sorted(records.rglob(RECORD)) if records.is_dir() else []
    beside = records.resolve().parent == output.resolve().parent
    folder = f"../{records.name}" if beside else COPIED
    runs, sources = _read(paths, records, folder)
    standings = tuple(rank(open_board(board, catalog), runs, levels) for board in boards)
    site = Site(standings, catalog, sources, warn)
    output.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=".site-", dir=output.parent) as temporary:
        new = Path(temporary) / "new"
        number = _write(new, site.pages())
        if not beside:
            for path in paths:
                target = new / COPIED / path.relative_to(records)
                target.parent.mkdir(parents=True, exist_ok=True)
                shutil.copyfile(path, target)
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


def _read(paths: Iterable[Path], records: Path, folder: str) -> tuple[list[Run], dict[str, Source]]:
    """Runs, small enough to hold thousands, and by id what their pages show besides."""
    runs, sources = [], {}
    environments: dict[str, Mapping[str, object]] = {}
    for path in paths:
        record = read_record(path)
        alike = json.dumps(record.environment, sort_keys=True)
        runs.append(run_of(record, path))
        sources[record.record_id] = Source(
            address=f"{folder}/{path.relative_to(records).as_posix()}",
            command=tuple(record.command),
            environment=environments.setdefault(alike, record.environment),
        )
    return runs, sources


def _write(folder: Path, files: Iterator[Page]) -> int:
    number = 0
    for name, content in files:
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
        number += name.endswith(".html")
    return number
