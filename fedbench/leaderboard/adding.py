"""Adding records to a folder of records: checked first, copied whole, never over another."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from fedbench.catalog import Catalog
from fedbench.errors import FedbenchError
from fedbench.files import write_new
from fedbench.results.migrations import migrate
from fedbench.results.parsing import content_id, parse, read_bytes
from fedbench.results.store import RECORD, find_records, read_record, read_values
from fedbench.verification.installed import Installed
from fedbench.verification.ladder import Level, Verdict, verify
from fedbench.verification.validity import places_of


@dataclass(frozen=True)
class Added:
    """A record and where it lies now; ``new`` unless it lay there before."""

    source: Path
    target: Path
    new: bool


def add(paths: Sequence[Path], records: Path, catalog: Catalog) -> list[Added]:
    """Copy the completed records of ``paths`` (files or folders of runs) into the folder ``records``.

    Raises :class:`FedbenchError`, and copies nothing, unless all of them are consistent, by themselves and
    with those that are there already.
    """
    sources = find_records(paths)
    there = find_records([records]) if records.is_dir() and any(records.rglob(RECORD)) else []
    known = {content_id(migrate(read_values(path))): path for path in there}
    fresh, added = [], []
    for source in sources:
        if (same := known.get(content_id(migrate(read_values(source))))) is not None:
            added.append(Added(source=source, target=same, new=False))
        else:
            fresh.append(source)
    together = verify([*there, *fresh], catalog)
    old, verdicts = together[: len(there)], together[len(there) :]
    bad = [verdict for verdict in verdicts if verdict.level < Level.consistent]
    if bad:
        more = f" (and {len(bad) - 1} more)" if len(bad) > 1 else ""
        raise FedbenchError(f"{bad[0].path} can't be added", why=f"{bad[0].problem}{more}")
    if against := _contradicted(old, there, catalog):
        raise FedbenchError(f"these can't be added beside {against.path}", why=against.problem)
    installed = Installed(catalog)
    return added + [_copied(verdict, records, installed) for verdict in verdicts]


def _contradicted(old: Sequence[Verdict], there: Sequence[Path], catalog: Catalog) -> Verdict | None:
    """The first of the ``old`` records that is consistent only without the new ones."""
    if not (fallen := [verdict for verdict in old if verdict.level == Level.valid]):
        return None
    before = {verdict.path for verdict in verify(there, catalog) if verdict.level == Level.consistent}
    return next((verdict for verdict in fallen if verdict.path in before), None)


def _copied(verdict: Verdict, records: Path, installed: Installed) -> Added:
    data = read_bytes(verdict.path)
    if verdict.run is None or content_id(migrate(parse(data))) != verdict.run.id:
        raise FedbenchError(f"{verdict.path} was changed while it was being added")
    record = read_record(verdict.path)
    for place in places_of(record, installed):
        target = records / place / RECORD
        if write_new(target, data):
            return Added(source=verdict.path, target=target, new=True)
        if read_record(target).run_id == record.run_id:
            break
    raise FedbenchError(
        "a record is never overwritten", where=target, why="another process has added one there"
    )
