"""Where records live: one folder per run, written once and never changed."""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path

from pydantic import ValidationError

from fedbench.errors import UsageError
from fedbench.files import write_atomic
from fedbench.results.record import Record, RoundEntry

RECORD = "record.json"
ROUND_LOG = "rounds.jsonl"


def write_record(folder: Path, record: Record) -> Path:
    """Write a sealed record: ``record.json`` if completed, else a numbered ``cancelled-0001.json``."""
    if record.status == "completed":
        path = folder / RECORD
        if path.exists():
            raise UsageError("a completed record is never overwritten", where=path)
    else:
        taken = [int(path.stem.rpartition("-")[2]) for path in folder.glob(f"{record.status}-*.json")]
        number = 1 + max(taken, default=0)
        path = folder / f"{record.status}-{number:04d}.json"
    write_atomic(path, json.dumps(record.model_dump(mode="json"), indent=1, allow_nan=False) + "\n")
    return path


def read_record(path: Path) -> Record:
    """Read and check one record file."""
    try:
        return Record.model_validate_json(path.read_bytes())
    except OSError as error:
        raise UsageError("can't read the record", where=path, why=error.strerror or error) from error
    except ValidationError as error:
        problem = error.errors(include_url=False)[0]
        field = ".".join(map(str, problem["loc"])) or "the file"
        raise UsageError("not a fedbench record", where=path, why=f"{field}: {problem['msg']}") from error


def find_records(paths: Iterable[Path]) -> list[Path]:
    """Record files among ``paths``; a folder stands for every completed record below it."""
    found: list[Path] = []
    for path in paths:
        if path.is_dir():
            below = sorted(path.rglob(RECORD))
            if not below:
                raise UsageError("no completed record", where=path, fix="`fedbench run` makes them")
            found += below
        else:
            found.append(path)
    return found


def write_round_log(folder: Path, entries: Iterable[RoundEntry]) -> None:
    """Replace the round log by ``entries``, one JSON object a line."""
    write_atomic(folder / ROUND_LOG, "".join(entry.model_dump_json() + "\n" for entry in entries))
