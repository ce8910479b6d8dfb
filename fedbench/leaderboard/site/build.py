"""Building the site: standings and records in, a folder of pages out; the same bytes for the same records."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from fedbench.catalog import Catalog
from fedbench.errors import UsageError
from fedbench.leaderboard.site import urls
from fedbench.leaderboard.site.kept import open_kept
from fedbench.leaderboard.site.pages import GENERATOR, Site
from fedbench.leaderboard.standings import Standings
from fedbench.results.run_summary import RunSummary


@dataclass(frozen=True)
class Build:
    """A site that is to lie at ``output``. ``copied`` are the files of records that are copied into it, by
    their paths in it."""

    site: Site
    output: Path
    copied: Mapping[str, Path]

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
        self.site.kept.save()

    def _files(self) -> Iterator[tuple[str, bytes]]:
        """Everything below ``output``: the pages, and the records that are copied beside them."""
        yield from self.site.pages()
        for name, path in self.copied.items():
            yield name, path.read_bytes()


def plan_build(
    boards: Sequence[Standings],
    runs: Sequence[RunSummary],
    catalog: Catalog,
    *,
    folders: Sequence[Path],
    output: Path,
    warn: Callable[[str], None] = lambda line: None,
) -> Build:
    """The site of ``boards`` over ``runs``, which were read from ``folders`` of records.

    Records in a folder beside the site (``x/records`` and ``x/site``) are linked where they lie; others are
    copied into it, so that it can go anywhere. ``warn`` is called with a line for each thing that can't be
    shown.
    """
    _check_replaceable(output)
    linked: dict[str, str] = {}
    copied: dict[str, Path] = {}
    for run in runs:
        if run.path is None:
            continue
        folder = next(folder for folder in folders if run.path.is_relative_to(folder))
        place = run.path.relative_to(folder).as_posix()
        if folder.resolve().parent == output.resolve().parent:
            linked[run.id] = f"../{folder.name}/{place}"
            continue
        name = f"{urls.COPIED}/{place}"
        if name in copied:  # another source has another record of the same run
            name = f"{name.removesuffix('.json')}-{run.id[:10]}.json"
        linked[run.id], copied[name] = name, run.path
    return Build(Site(tuple(boards), catalog, linked, warn, open_kept()), output, copied)


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
