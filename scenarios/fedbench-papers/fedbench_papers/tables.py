"""Parquet files as one ``datasets.Dataset``, and its images."""

from __future__ import annotations

import base64
import io
import os
import re
import tempfile
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

import datasets
import pyarrow as pa
import pyarrow.parquet as pq
from PIL import Image

from fedbench import StoredImages, UsageError, as_rgb, cache_folder, sha256_bytes, sha256_file, sha256_json
from fedbench_papers import hub
from fedbench_papers.options import Source

PATTERNS = ("*.parquet",)

SPLIT = re.compile(r"(?:^|[-_./])(test|validation|valid|val|dev|eval)(?:[-_./]|$)")
"""How a file or folder of a data set's own held-out split is called."""

ROWS = 64
"""Rows that are converted at a time."""


def read(options: Source, columns: Sequence[str]) -> tuple[Any, list[str]]:
    """Read the rows of all files as a ``datasets.Dataset``, and notes on what was left out.

    Raises :class:`UsageError` unless they have ``columns``. Where files are of the data's own train split and
    of others, by their names, the others are left out.
    """
    folder = hub.folder(
        options.path,
        options.revision,
        "dataset",
        PATTERNS,
        local_files_only=options.local_files_only,
        option="data.files.path",
    )
    every = sorted(folder.rglob("*.parquet"))
    if not every:
        raise UsageError(
            f"data {options.name!r} has no parquet files",
            where=folder,
            why="it is made of nothing else",
            fix="set data.files.path to the folder that holds them",
        )
    files, notes = _own_splits(every, folder)
    converted = _converted(options.name, files)
    try:
        table = datasets.Dataset.from_file(str(converted))
    except Exception as error:
        why, fix = hub.first_line(error), f"delete {converted}; it is made again on the next run"
        raise UsageError("the cache of data sets is damaged", where=converted, why=why, fix=fix) from error
    for column in columns:
        if column not in table.column_names:
            raise UsageError(
                f"data {options.name!r} has no column {column!r}",
                where=folder,
                why=f"its columns are {', '.join(table.column_names)}",
                fix="take the version that the package's README names, or rename the column",
            )
    return table, notes


def _own_splits(files: Sequence[Path], folder: Path) -> tuple[list[Path], list[str]]:
    """Leave out the files of the data's own test or validation split, if there are others, and say so."""
    splits: dict[str, list[Path]] = defaultdict(list)
    for path in files:
        match = SPLIT.search(path.relative_to(folder).as_posix().removesuffix(".parquet"))
        splits["train" if match is None else match[1]].append(path)
    if "train" not in splits:
        return list(files), []
    notes = [
        f"{_rows(members)} rows of its own split {split!r} are left out"
        f" ({members[0].relative_to(folder)}, …); what is asked about is drawn from the others"
        for split, members in splits.items()
        if split != "train"
    ]
    return splits["train"], notes


def _rows(files: Sequence[Path]) -> int:
    """Count the rows of files; those that can't be read have none."""
    counts = []
    for path in files:
        with suppress(OSError, pa.ArrowException):
            counts.append(pq.read_metadata(path).num_rows)
    return sum(counts)


def _converted(name: str, files: Sequence[Path]) -> Path:
    """Convert files to one that can be memory-mapped, in fedbench's cache, named after their content."""
    folder = cache_folder() / "datasets"
    path = folder / f"{sha256_json([sha256_file(file) for file in files])[:32]}.arrow"
    if path.exists():
        return path
    try:
        folder.mkdir(parents=True, exist_ok=True)
        handle, part = tempfile.mkstemp(suffix=".part", dir=folder)
    except OSError as error:
        raise _unwritable(folder, error) from error
    try:
        with os.fdopen(handle, "wb") as sink:
            _convert(name, files, sink)
            try:
                sink.flush()
                os.fsync(sink.fileno())
            except OSError as error:
                raise _unwritable(folder, error) from error
        Path(part).replace(path)
    finally:
        Path(part).unlink(missing_ok=True)
    return path


def _convert(name: str, files: Sequence[Path], sink: IO[bytes]) -> None:
    """Copy the rows of ``files`` to ``sink``, a few at a time, with the columns of the first file."""
    writer = None
    for table in _tables(name, files):
        try:
            writer = writer or pa.ipc.new_stream(sink, table.schema)
            writer.write_table(table)
        except OSError as error:
            raise _unwritable(cache_folder() / "datasets", error) from error
    if writer is None:
        raise UsageError(f"data {name!r} has no rows", where=files[0])
    writer.close()


def _tables(name: str, files: Sequence[Path]) -> Iterator[pa.Table]:
    """The rows of ``files``, a few at a time, all with the columns of the first."""
    schema = None
    for path in files:
        try:
            source = pq.ParquetFile(path)
            schema = schema or _plain(source.schema_arrow)
            for batch in source.iter_batches(batch_size=ROWS):
                yield pa.Table.from_batches([batch]).cast(schema)
        except (OSError, ValueError, pa.ArrowException) as error:
            raise _unreadable(name, path, error) from error


def _plain(schema: pa.Schema) -> pa.Schema:
    """The schema with values in place of dictionaries, which files need not share."""
    fields = [
        field.with_type(field.type.value_type) if pa.types.is_dictionary(field.type) else field
        for field in schema
    ]
    return pa.schema(fields, metadata=schema.metadata)


def _unreadable(name: str, path: Path, error: Exception) -> UsageError:
    return UsageError(
        f"can't read data {name!r}", where=path, why=hub.first_line(error), fix="download its files again"
    )


def _unwritable(folder: Path, error: OSError) -> UsageError:
    return UsageError(
        "can't write the cache of data sets",
        where=folder,
        why=error.strerror or error,
        fix="set FEDBENCH_CACHE to a folder you may write, on a disk with room",
    )


def _images_fix(options: Source) -> str:
    """What to do about a column of names, by what the data set takes."""
    fields = type(options).model_fields
    if "images" in fields:
        return "set data.files.images to the folder that they lie in"
    if "image_column" in fields:
        return "name the column that holds the images in data.options.image_column"
    return "put the images themselves into that column (datasets.Image)"


Read = Callable[[Any], bytes]
"""A function from a cell to an encoded image."""


def from_base64(cell: Any) -> bytes:
    """Decode a cell of base64 text."""
    return base64.b64decode(cell)


def from_struct(cell: Any) -> bytes:
    """Read a cell of ``datasets.Image``: the bytes, or the file that it names."""
    return bytes(cell["bytes"]) if cell["bytes"] is not None else Path(cell["path"]).read_bytes()


@dataclass(frozen=True)
class Column:
    """The images of a table, encoded."""

    data: str
    """The data set's name, for errors."""
    cells: Any
    """The column's cells, by row."""
    read: Read
    """Makes an encoded image of a cell."""

    @classmethod
    def of(cls, options: Source, rows: Any, name: str, images: str | None = None) -> Column:
        """Open a column of images, or of the names of files below the folder ``images``."""
        data = options.name
        if rows.features[name] not in (datasets.Value("string"), datasets.Value("large_string")):
            return cls(data, rows.cast_column(name, datasets.Image(decode=False))[name], from_struct)
        if images is None:
            raise UsageError(
                f"data {data!r} names files and does not hold the images",
                why=f"its column {name!r} is text",
                fix=_images_fix(options),
            )
        return cls(data, rows[name], lambda cell: (Path(images).expanduser() / cell).read_bytes())

    def encoded(self, row: int) -> bytes:
        """Read a row's encoded image."""
        try:
            return self.read(self.cells[row])
        except Exception as error:
            raise self._unreadable(row, error) from error

    def sha256(self, row: int) -> str:
        """Hash a row's encoded image."""
        return sha256_bytes(self.encoded(row))

    def image(self, row: int) -> Image.Image:
        """Decode a row's image to RGB, upright, on white and in 8 bits."""
        encoded = self.encoded(row)
        try:
            with Image.open(io.BytesIO(encoded)) as image:
                return as_rgb(image)
        except Exception as error:  # a damaged file makes PIL raise almost anything
            raise self._unreadable(row, error) from error

    def _unreadable(self, row: int, error: Exception) -> UsageError:
        return UsageError(
            f"can't read the image of row {row} of data {self.data!r}", why=error, fix="download it again"
        )


@dataclass(frozen=True)
class Pictures(StoredImages):
    """Images of some rows, decoded when asked for."""

    column: Column
    """The images of the table."""
    rows: Sequence[int]
    """The rows that these are of."""

    def __len__(self) -> int:
        return len(self.rows)

    def stored(self, number: int) -> bytes:
        """The encoded image of a row."""
        return self.column.encoded(self.rows[number])

    def __getitem__(self, number: int) -> Image.Image:  # type: ignore[override]
        """Decode image ``number``; an error names its row."""
        return self.column.image(self.rows[number])
