"""Tables converted to one Arrow file that can be memory-mapped, in fedbench's cache, by their content."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import IO

import pyarrow as pa

from fedbench import UsageError, cache_folder, sha256_file, sha256_json
from fedbench_huggingface import hub
from fedbench_huggingface.readers import read

VERSION = 2
"""Raised when the same files are read as other rows."""

FILE = "__file__"
"""The column with the number of the file that a row is from."""


def converted(data: str, files: Sequence[Path]) -> Path:
    """Convert ``files`` to one, named after what they hold; raises :class:`UsageError` if one can't be read.

    Its columns are those of all files; a file that lacks one has nulls there.
    """
    folder = cache_folder() / "datasets"
    content = [[path.suffix.lower(), sha256_file(path)] for path in files]
    path = folder / f"{sha256_json([VERSION, content])[:32]}.arrow"
    if path.exists():
        return path
    schema = _schema(data, files)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        handle, part = tempfile.mkstemp(suffix=".part", dir=folder)
    except OSError as error:
        raise _unwritable(folder, error) from error
    try:
        with os.fdopen(handle, "wb") as sink:
            _write(data, files, schema, sink)
            try:
                sink.flush()
                os.fsync(sink.fileno())
            except OSError as error:
                raise _unwritable(folder, error) from error
        Path(part).replace(path)
    finally:
        Path(part).unlink(missing_ok=True)
    return path


def _schema(data: str, files: Sequence[Path]) -> pa.Schema:
    schema = None
    for path in files:
        first = next(_tables(data, path), None)
        if first is None:
            continue
        try:
            schema = pa.unify_schemas([schema or first.schema, first.schema], promote_options="permissive")
        except pa.ArrowException as error:
            why, fix = f"{path.name}: {hub.first_line(error)}", "give a column the same type in all files"
            raise UsageError(
                f"the files of data {data!r} disagree", where=path.parent, why=why, fix=fix
            ) from error
    if schema is None:
        raise _empty(data, files)
    return schema


def _write(data: str, files: Sequence[Path], schema: pa.Schema, sink: IO[bytes]) -> None:
    """Copy the rows of ``files`` to ``sink``, a few at a time."""
    whole, rows = schema.append(pa.field(FILE, pa.int32())), 0
    writer = pa.ipc.new_stream(sink, whole)
    for number, path in enumerate(files):
        for table in _tables(data, path):
            columns = [
                table[field.name].cast(field.type)
                if field.name in table.column_names
                else pa.nulls(len(table), field.type)
                for field in schema
            ]
            columns.append(pa.array([number] * len(table), pa.int32()))
            try:
                writer.write_table(pa.table(columns, schema=whole))
            except OSError as error:
                raise _unwritable(cache_folder() / "datasets", error) from error
            rows += len(table)
    if not rows:
        raise _empty(data, files)
    writer.close()


def _tables(data: str, path: Path) -> Iterator[pa.Table]:
    try:
        yield from read(path)
    except Exception as error:  # another library's, for whatever is in the file
        fix = "download its files again, or mend them"
        raise UsageError(
            f"can't read data {data!r}", where=path, why=hub.first_line(error), fix=fix
        ) from error


def _empty(data: str, files: Sequence[Path]) -> UsageError:
    return UsageError(
        f"data {data!r} has no rows", where=files[0], fix="set data.files.path to a table with rows"
    )


def _unwritable(folder: Path, error: OSError) -> UsageError:
    return UsageError(
        "can't write the cache of data sets",
        where=folder,
        why=error.strerror or error,
        fix="set FEDBENCH_CACHE to a folder you may write, on a disk with room",
    )
