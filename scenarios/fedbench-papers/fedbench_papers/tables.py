"""Parquet files as one ``datasets.Dataset``, and its images."""

from __future__ import annotations

import base64
import io
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import datasets
from PIL import Image

from fedbench import StoredImages, UsageError, cache_folder, sha256_bytes
from fedbench_papers import hub
from fedbench_papers.options import Source

PATTERNS = ("*.parquet",)


def read(options: Source, columns: Sequence[str]) -> Any:
    """Read all rows of all files; :class:`UsageError` unless they have ``columns``."""
    folder = hub.folder(
        options.path,
        options.revision,
        "dataset",
        PATTERNS,
        local_files_only=options.local_files_only,
        option="data.options.path",
    )
    files = [str(path) for path in sorted(folder.rglob("*.parquet"))]
    if not files:
        raise UsageError(
            f"data {options.name!r} has no parquet files",
            where=folder,
            why="it is made of nothing else",
            fix="set data.options.path to the folder that holds them",
        )
    datasets.disable_progress_bars()
    try:
        table = datasets.load_dataset(
            "parquet", data_files=files, split="train", cache_dir=str(cache_folder() / "datasets")
        )
    except Exception as error:
        raise UsageError(
            f"can't read data {options.name!r}",
            where=folder,
            why=hub.first_line(error),
            fix="download its files again",
        ) from error
    for column in columns:
        if column not in table.column_names:
            raise UsageError(
                f"data {options.name!r} has no column {column!r}",
                where=folder,
                why=f"its columns are {', '.join(table.column_names)}",
                fix="take the version that the package's README names, or rename the column",
            )
    return table


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
    def of(cls, data: str, rows: Any, name: str, images: str | None = None) -> Column:
        """Open a column of images, or of the names of files below the folder ``images``."""
        if rows.features[name] not in (datasets.Value("string"), datasets.Value("large_string")):
            return cls(data, rows.cast_column(name, datasets.Image(decode=False))[name], from_struct)
        if images is None:
            raise UsageError(
                f"data {data!r} names files and does not hold the images",
                why=f"its column {name!r} is text",
                fix="set data.options.images to the folder that they lie in",
            )
        return cls(data, rows[name], lambda cell: (Path(images).expanduser() / cell).read_bytes())

    def encoded(self, row: int) -> bytes:
        """Read a row's encoded image."""
        try:
            return self.read(self.cells[row])
        except (OSError, ValueError, TypeError, KeyError) as error:
            raise self._unreadable(row, error) from error

    def sha256(self, row: int) -> str:
        """Hash a row's encoded image."""
        return sha256_bytes(self.encoded(row))

    def image(self, row: int) -> Image.Image:
        """Decode a row's image to RGB."""
        try:
            with Image.open(io.BytesIO(self.encoded(row))) as image:
                return image.convert("RGB")
        except (OSError, ValueError) as error:
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
