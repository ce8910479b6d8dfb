"""The rows of a data set's files as one ``datasets.Dataset``."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from fnmatch import fnmatch
from pathlib import Path
from typing import Any

import datasets
import numpy as np

from fedbench import UsageError, suggest
from fedbench_huggingface import hub
from fedbench_huggingface.conversion import FILE, converted
from fedbench_huggingface.files import FORMATS, own_split, patterns, tables
from fedbench_huggingface.source import Source

IMAGES = ("png", "jpg", "jpeg", "webp", "gif", "bmp", "tif", "tiff")
"""Ends of the names of image files that a table may name."""


@dataclass(frozen=True)
class Table:
    """The rows of a data set's files, memory-mapped."""

    data: str
    """The data set's name, for errors."""
    place: Path
    """The folder of the files, or the file."""
    rows: Any
    """The rows, a ``datasets.Dataset``."""
    files: Sequence[Path]
    """The files, in the order of their rows."""
    file_of: np.ndarray
    """[rows]: the number of the file that a row is from."""
    local: bool
    """Whether the files are the user's own and not a repository's."""

    def __len__(self) -> int:
        return len(self.rows)

    def require(self, column: str, option: str = "") -> str:
        """Return ``column`` if there is one of that name, or refuse it; ``option`` is what names it."""
        names = list(self.rows.column_names)
        if column not in names:
            close = suggest(column, names)
            hint = close if close.startswith("did") else ""
            mend = f"set data.options.{option} to one of them" if option else ""
            raise UsageError(
                f"data {self.data!r} has no column {column!r}",
                where=self.place,
                why=f"its columns are {', '.join(names)}",
                fix=f"{hint}{'; ' if hint and mend else ''}{mend}"
                or "take the version that the package's README names, or rename the column",
            )
        return column

    def folder(self, row: int) -> Path:
        """The folder of the file that ``row`` is from."""
        return self.files[int(self.file_of[row])].parent

    def relative(self, number: int) -> str:
        """The path of file ``number`` from the data's folder on."""
        path = self.files[number]
        return path.name if path == self.place else path.relative_to(self.place).as_posix()

    def title(self, row: int) -> str:
        """Name a row as its reader finds it: ``row 3 of train/metadata.csv``, counted from 0 in its file."""
        number = int(self.file_of[row])
        first = int(np.searchsorted(self.file_of, number))
        return f"row {row - first} of {self.relative(number)}"

    def of_files(self, numbers: Sequence[int]) -> Table:
        """Keep the rows of the files with these numbers."""
        kept = np.flatnonzero(np.isin(self.file_of, numbers))
        return replace(self, rows=self.rows.select(kept), file_of=self.file_of[kept])

    @property
    def own_splits(self) -> list[str]:
        """[files]: the split that each file is of by its name."""
        return [own_split(self.relative(number)) for number in range(len(self.files))]


def read_table(
    options: Source, formats: Sequence[str] = tuple(dict.fromkeys(FORMATS.values())), only: str = ""
) -> Table:
    """Read the rows of all files in ``formats``; raises :class:`UsageError` if they can't be read.

    ``only``: a pattern of the repository's files that are read. A folder that has none such is read whole.
    """
    wanted = [only] if only else patterns(formats)
    if list(formats) != ["parquet"] and not only:
        wanted += [f"*.{end}" for end in IMAGES]
    place = hub.place(
        options.path,
        options.revision,
        "dataset",
        wanted,
        local_files_only=options.local_files_only,
        option="data.files.path",
    )
    files = tables(options.name, place, formats)
    files = [path for path in files if fnmatch(path.relative_to(place).as_posix(), only)] or files
    path = converted(options.name, files)
    try:
        rows = datasets.Dataset.from_file(str(path))
        file_of = rows.data[FILE].to_numpy()
    except Exception as error:
        why, fix = hub.first_line(error), f"delete {path}; it is made again on the next run"
        raise UsageError("the cache of data sets is damaged", where=path, why=why, fix=fix) from error
    return Table(
        data=options.name,
        place=place,
        rows=rows.remove_columns(FILE),
        files=files,
        file_of=file_of,
        local=Path(options.path).is_absolute(),
    )
