"""Files of records: one folder per run, written once and never changed."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from fedbench.api.options import first_problem, message
from fedbench.errors import UsageError
from fedbench.files import write_atomic
from fedbench.results.formatting import record_text
from fedbench.results.migrations import Malformed, UnknownVersion, migrate
from fedbench.results.parsing import OWN_BYTES, NotJson, content_id, parse, read_bytes
from fedbench.results.records import Record

RECORDS = Path("leaderboards", "records")
"""Where the boards' records lie, from the root of a checkout."""

RECORD = "record.json"
ROUND_LOG = "rounds.jsonl"
TRACE = "trace.json"
"""Where a profiled run's time went."""


def write_record(folder: Path, record: Record, *, replace: bool = False) -> Path:
    """Write a sealed record: ``record.json`` if completed, else a numbered ``cancelled-0001.json``.

    A completed record is never overwritten: with ``replace``, the one that is there stays beside the new one
    as ``replaced-0001.json``.
    """
    values = _writable(record)
    path = folder / RECORD
    if record.status != "completed":
        path = _numbered(folder, record.status)
    elif path.exists():
        if not replace:
            raise UsageError("a completed record is never overwritten", where=path)
        path.rename(_numbered(folder, "replaced"))
    write_atomic(path, record_text(values))
    return path


def _numbered(folder: Path, stem: str) -> Path:
    """The next free ``stem-0001.json``."""
    taken = [int(path.stem.rpartition("-")[2]) for path in folder.glob(f"{stem}-*.json")]
    return folder / f"{stem}-{1 + max(taken, default=0):04d}.json"


def _writable(record: Record) -> dict[str, Any]:
    """The record as JSON; refuses one with fields that this version does not know, or that was changed after
    it was sealed."""
    values = record.model_dump(mode="json")
    try:
        Record.model_validate(values, extra="forbid")
    except ValidationError as error:
        raise UsageError("the record can't be written", why=_problem(error)) from error
    if record.record_id != content_id(values):
        raise UsageError("the record can't be written", why="it was changed after it was sealed")
    return values


def read_record(path: Path) -> Record:
    """Read and check a record file of any schema version; fields that this version does not know are kept.

    Raises :class:`UsageError` for a file that is no record.
    """
    return record_of(read_values(path), path)


def read_values(path: Path) -> dict[str, Any]:
    """Read the JSON of a record file."""
    try:
        return parse(read_bytes(path, OWN_BYTES))
    except NotJson as error:
        raise UsageError("not a fedbench record", where=path, why=error) from error


def record_of(values: Mapping[str, Any], path: Path, strict: bool = False) -> Record:
    """Check the JSON ``values`` of ``path``; ``strict`` refuses fields that this version does not know."""
    try:
        return Record.model_validate(migrate(values), extra="forbid" if strict else None)
    except UnknownVersion as error:
        why = f"schema_version: {error}"
    except Malformed as error:
        why = str(error)
    except ValidationError as error:
        why = _problem(error)
    raise UsageError("not a fedbench record", where=path, why=why)


def _problem(error: ValidationError) -> str:
    problem = first_problem(error)
    return f"{'.'.join(map(str, problem['loc'])) or 'the file'}: {message(problem)}"


def find_records(paths: Iterable[Path]) -> list[Path]:
    """List the record files among ``paths``; a folder stands for every completed record below it.

    Links to folders are followed. One that leads nowhere stands for the record that is missing there, so
    that whoever reads it says so.
    """
    files: list[Path] = []
    for path in paths:
        if path.is_dir():
            below = sorted(_below(path))
            if not below:
                raise UsageError("no completed record", where=path, fix="`fedbench run` makes them")
            files += below
        else:
            files.append(path)
    return list(dict.fromkeys(files))


def _below(folder: Path) -> Iterator[Path]:
    """The completed records below ``folder``; a folder with several names is entered once."""
    entered: set[str] = set()
    for place, folders, files in os.walk(folder, followlinks=True, onerror=_unreadable):
        if (real := os.path.realpath(place)) in entered:
            folders.clear()
            continue
        entered.add(real)
        folders.sort(key=lambda name: (Path(place, name).is_symlink(), name))
        if RECORD in files:
            yield Path(place, RECORD)
        dangling = (path for name in files if (path := Path(place, name)).is_symlink() and not path.exists())
        yield from (path / RECORD for path in dangling if path.name != RECORD)


def _unreadable(error: OSError) -> None:
    raise UsageError("can't look for records", where=error.filename, why=error.strerror) from error


def read_each(paths: Iterable[Path], say: Callable[[str], None]) -> Iterator[tuple[Path, Record]]:
    """Read the record files of ``paths``, as :func:`find_records` lists them.

    One below a folder that can't be read is named to ``say`` and left out; one that is named itself raises
    :class:`UsageError`, and so does the last of them if none of a folder can be read.
    """
    named, seen = list(paths), set[Path]()
    for path in named:
        read, problem = 0, None
        files = [file for file in find_records([path]) if file not in seen]
        seen.update(files)
        for file in files:
            try:
                record = read_record(file)
            except UsageError as error:
                if file in named:
                    raise
                problem = error
                say(f"left out: {error}")
                continue
            read += 1
            yield file, record
        if problem and not read:
            raise problem
