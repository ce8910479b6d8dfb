"""The images of a table, encoded and decoded."""

from __future__ import annotations

import base64
import os.path
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import datasets
from PIL import Image

from fedbench import BrokenImage, StoredImages, UsageError, open_image, sha256_bytes
from fedbench_huggingface.cells import absent
from fedbench_huggingface.tables import Table

Read = Callable[[int, Any], bytes]
"""A function from a row's number and its cell to an encoded image."""


def from_base64(row: int, cell: Any) -> bytes:
    """Decode a cell of base64 text."""
    return base64.b64decode(cell)


@dataclass(frozen=True)
class Column:
    """The images of a table, encoded."""

    table: Table
    """The table."""
    cells: Any
    """The column's cells, by row."""
    read: Read
    """Makes an encoded image of a cell."""

    @classmethod
    def of(cls, table: Table, name: str, folder: Path | None = None) -> Column:
        """Open a column of images, or of the names of files below ``folder`` (None: the table's own)."""

        def named(row: int, cell: Any) -> bytes:
            return _below(table, folder or table.folder(row), str(cell)).read_bytes()

        def stored(row: int, cell: Any) -> bytes:
            return bytes(cell["bytes"]) if cell["bytes"] is not None else named(row, cell["path"])

        if names_files(table, name):
            return cls(table, table.rows[name], named)
        try:
            cells = table.rows.cast_column(name, datasets.Image(decode=False))[name]
        except Exception as error:
            kind = table.rows.features[name]
            raise UsageError(
                f"column {name!r} of data {table.data!r} holds no images",
                where=table.place,
                why=f"its type is {getattr(kind, 'dtype', kind)}",
                fix=f"name a column of images or of files; there are {', '.join(table.rows.column_names)}",
            ) from error
        return cls(table, cells, stored)

    @classmethod
    def only(cls, table: Table, name: str) -> Column:
        """Open a column of images, or of lists of images with one in each."""
        if not isinstance(table.rows.features[name], datasets.List):
            return cls.of(table, name)

        def one(row: int, cell: Any) -> bytes:
            (image,) = cell
            return bytes(image["bytes"])

        return cls(table, table.rows[name], one)

    def is_empty(self, row: int) -> bool:
        """Whether a row has no image."""
        cell = self.cells[row]
        return absent(cell) or (isinstance(cell, dict) and not (cell["bytes"] or cell["path"]))

    def encoded(self, row: int) -> bytes:
        """Read a row's encoded image."""
        try:
            return self.read(row, self.cells[row])
        except Exception as error:
            raise self._unreadable(row, error) from error

    def sha256(self, row: int) -> str:
        """Hash a row's encoded image."""
        return sha256_bytes(self.encoded(row))

    def image(self, row: int) -> Image.Image:
        """Decode a row's image to RGB, upright, on white and in 8 bits."""
        encoded = self.encoded(row)
        try:
            return open_image(encoded)
        except BrokenImage as error:
            raise self._unreadable(row, error) from error

    def _unreadable(self, row: int, error: Exception) -> UsageError:
        return UsageError(
            f"can't read the image of {self.table.title(row)} of data {self.table.data!r}",
            why=error,
            fix="download it again",
        )


def names_files(table: Table, column: str) -> bool:
    """Whether ``column`` has the names of image files in place of images."""
    return table.rows.features[column] in (datasets.Value("string"), datasets.Value("large_string"))


def _below(table: Table, folder: Path, name: str) -> Path:
    """The file ``name``, from ``folder`` on; a repository's table names no file outside its folder."""
    path = Path(os.path.normpath(folder / name))
    if not table.local and not path.is_relative_to(table.place):
        raise ValueError(f"{name!r} lies outside its repository")
    return path


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
