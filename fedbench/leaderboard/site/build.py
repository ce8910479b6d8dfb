"""Building the site: standings and records in, a folder of pages out; the same bytes for the same records."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from matplotlib import style

from fedbench.catalog import Catalog
from fedbench.errors import UsageError
from fedbench.leaderboard.ranking import Standings
from fedbench.leaderboard.site import urls
from fedbench.leaderboard.site.pages import GENERATOR, Site
from fedbench.results.run_summary import RunSummary


@dataclass(frozen=True)
class Build:
    """A site that is to lie at ``output``, and the records (by their places) that are copied into it."""

    site: Site
    output: Path
    records: Path
    copied: tuple[str, ...]

    def write(self) -> None:
        """Put the site at ``output``, in place of an earlier one."""
        self.output.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix=".site-", dir=self.output.parent) as temporary:
            new = Path(temporary, "new")
            for name, content in self._files():
                (new / name).parent.mkdir(parents=True, exist_ok=True)
                (new / name).write_bytes(content)
            if self.output.exists():
                self.output.rename(Path(temporary, "old"))
            new.rename(self.output)

    def out_of_date(self) -> list[Path]:
        """Which pages at ``output`` are missing, are not what they should be, or should not be there."""
        there = {path for path in self.output.rglob("*") if path.is_file()}
        stale = []
        for name, content in self._files():
            path = self.output / name
            if path not in there or path.read_bytes() != content:
                stale.append(path)
            there.discard(path)
        return stale + sorted(there)

    def _files(self) -> Iterator[tuple[str, bytes]]:
        """Everything below ``output``: the pages, and the records that are copied beside them."""
        with style.context("default", after_reset=True):  # whatever the user's own pictures look like
            yield from self.site.pages()
        for place in self.copied:
            yield f"{urls.COPIED}/{place}", (self.records / place).read_bytes()


def plan_build(
    boards: Sequence[Standings],
    runs: Sequence[RunSummary],
    catalog: Catalog,
    records: Path,
    output: Path,
    warn: Callable[[str], None] = lambda line: None,
) -> Build:
    """The site of ``boards`` over ``runs``, which were read from the folder ``records``.

    Records beside the site (``x/records`` and ``x/site``) are linked where they lie; else they are copied
    into it, so that the folder can go anywhere. ``warn`` hears what can't be shown.
    """
    _check_replaceable(output)
    beside = records.resolve().parent == output.resolve().parent
    folder = f"../{records.name}" if beside else urls.COPIED
    places = {run.id: run.path.relative_to(records).as_posix() for run in runs if run.path}
    linked = {run: f"{folder}/{place}" for run, place in places.items()}
    site = Site(tuple(boards), catalog, linked, warn)
    return Build(site, output, records, () if beside else tuple(places.values()))


def _check_replaceable(output: Path) -> None:
    """Only a site is ever replaced."""
    index = output / urls.INDEX
    if not output.exists() or (output.is_dir() and not any(output.iterdir())):
        return
    if index.is_file() and GENERATOR in index.read_text(encoding="utf-8", errors="replace"):
        return
    raise UsageError(
        "won't replace what is there",
        where=output,
        why="it is not a site that fedbench built",
        fix="choose another --output",
    )
