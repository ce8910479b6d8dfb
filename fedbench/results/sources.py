"""The records of a comparison: named by file, folder or method, or given as objects; its reference."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from fedbench.errors import UsageError, suggest
from fedbench.results.records import Record
from fedbench.results.run_summary import RunSummary, run_of
from fedbench.results.store import read_each

Source = str | Path | Record | Sequence[Record]
"""A record file, a folder of records, a method's name; or a record or several as objects."""


@dataclass(frozen=True)
class Sources:
    """The runs of a comparison."""

    runs: Mapping[str, Sequence[RunSummary]]
    """The runs, by the name of their source."""
    reference: Sequence[RunSummary] = ()
    """Those that the others are compared with; none if empty."""
    left_out: Sequence[str] = ()
    """A line for each file below a folder that is no record."""


def gather(what: Source | Iterable[Source], against: Source | None, records: Path) -> Sources:
    """Collect the runs of every source in ``what``; those of ``against`` are the reference and among them.

    Without ``against`` the first of several sources is the reference, unless it holds several contenders
    (method, plugin and options). A record given as an object stands for all those of its contender, a seed
    each. Methods are looked up by name among the objects, then in the folder ``records``.

    Raises
    ------
    UsageError
        A name of nothing, or an ``against`` that holds several contenders.
    """
    sources = [what] if isinstance(what, str | Path | Record) else list(what)
    runs: dict[str, Sequence[RunSummary]] = {}
    objects: list[RunSummary] = []
    left_out: list[str] = []
    for number, source in enumerate(sources, 1):
        if isinstance(source, str | Path):
            runs.setdefault(str(source), _stored(str(source), records, left_out))
        else:
            objects += runs.setdefault(f"records {number}", _given(source))
    if against is None:
        return Sources(runs, _first(runs, sources, objects), left_out)
    name = str(against)
    reference: Sequence[RunSummary] = ()
    if not isinstance(against, str | Path):
        name, reference = "the reference", _given(against)
        reference = _whole(reference, objects) if isinstance(against, Record) else reference
    elif name not in runs:
        reference = [run for run in objects if run.method.name == name]
        reference = reference or _stored(name, records, left_out)
    reference = runs.setdefault(name, reference)
    if several := len({run.contender for run in reference}) - 1:
        raise UsageError(f"--against {name}: it holds {several + 1} methods or option sets, name one")
    return Sources(runs, reference, left_out)


def _stored(name: str, records: Path, left_out: list[str]) -> list[RunSummary]:
    """The runs of a record file, a folder, or a method (as its folder among the records is called).

    What can't be read below a folder is named in ``left_out``.
    """

    def read(paths: Iterable[Path]) -> list[RunSummary]:
        return [run_of(record, file) for file, record in read_each(paths, left_out.append)]

    path = Path(name)
    if path.exists():
        return read([path])
    methods = {folder.name for folder in records.glob("*/*") if folder.is_dir()}
    if name not in methods:
        fix = suggest(name, methods) if methods and "/" not in name else ""
        raise UsageError(f"no such record or folder{', or method' if methods else ''}: {name}", fix=fix)
    return read(sorted(records.glob(f"*/{name}")))


def _given(source: Record | Sequence[Record]) -> list[RunSummary]:
    """The runs of a record or several."""
    return [run_of(record) for record in ([source] if isinstance(source, Record) else source)]


def _first(
    runs: Mapping[str, Sequence[RunSummary]], sources: Sequence[Source], objects: Sequence[RunSummary]
) -> Sequence[RunSummary]:
    """The runs of the first of several sources, if they are of one contender and others are not."""
    first = next(iter(runs.values()), ())
    if len(runs) < 2 or len({run.contender for run in first}) != 1:
        return ()
    if isinstance(sources[0], Record):
        first = _whole(first, objects)
        if len(first) == sum(map(len, runs.values())):
            return ()
    return first


def _whole(runs: Sequence[RunSummary], objects: Sequence[RunSummary]) -> Sequence[RunSummary]:
    """All ``objects`` of the contender of ``runs``; only ``runs`` if there are several of one seed."""
    whole = [run for run in objects if run.contender == runs[0].contender]
    return whole if len({run.seed for run in whole}) == len(whole) and whole else runs
