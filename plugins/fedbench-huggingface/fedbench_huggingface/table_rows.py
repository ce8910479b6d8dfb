"""The rows of a table with images: what those of all data sets have in common."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import PurePath
from typing import Any, TypeVar

from fedbench import BrokenImage, UsageError, sha256_bytes
from fedbench_huggingface.broken import Broken
from fedbench_huggingface.cells import Fault, label, text
from fedbench_huggingface.columns import Columns
from fedbench_huggingface.files import SPELLINGS, SPLITS, TRAIN
from fedbench_huggingface.images import Column, names_files
from fedbench_huggingface.tables import Table


@dataclass(frozen=True, slots=True, kw_only=True)
class TableRow:
    """A row of a table with images."""

    number: int
    """The row's number in the table."""
    image: str
    """The hash of its image's bytes."""
    labels: tuple[str, ...]
    """Its values of the labels, in the order of ``Columns.label_names``."""
    group: str
    """What must not be split; empty where nothing is but its image."""
    split: str
    """The split that the data itself says: train where it says nothing."""

    @property
    def dependent(self) -> str:
        """What its items depend on together: its group, or its image."""
        return self.group or self.image[:16]


R = TypeVar("R", bound=TableRow)


@dataclass(frozen=True)
class Cells:
    """The cells of the columns that options name."""

    options: Columns
    """The options."""
    columns: Mapping[str, Sequence[Any]]
    """The columns, by name."""
    layout: Sequence[str]
    """[rows]: the split that the names of files and folders say."""

    @classmethod
    def of(cls, options: Columns, table: Table, more: Mapping[str, Sequence[str]]) -> Cells:
        """Look up the columns of all options, and ``more`` by option; refuses those that the table lacks."""
        given = {"group": options.group, "split": options.split, "client": options.client}
        wanted = {key: [name] for key, name in given.items() if name is not None} | {"labels": options.labels}
        every = {table.require(name, key) for key, columns in {**wanted, **more}.items() for name in columns}
        return cls(options, {name: table.rows[name][:] for name in every}, _layout(options, table))

    def __getitem__(self, number: int) -> dict[str, Any]:
        """Look up a row's cells, by column."""
        return {name: column[number] for name, column in self.columns.items()}

    def common(self, number: int, image: str) -> dict[str, Any]:
        """Read the fields of a :class:`TableRow`; :class:`Fault` for one that can't be used."""
        options, cells = self.options, self[number]
        return {
            "number": number,
            "image": image,
            "labels": tuple(label(cells[column], name) for name, column in options.label_names.items()),
            "group": label(cells[options.group], "group") if options.group is not None else "",
            "split": self._split(cells, number),
        }

    def _split(self, cells: Mapping[str, Any], number: int) -> str:
        if self.options.split is None:
            return self.layout[number]
        cell = text(cells[self.options.split], "split")
        if cell.lower() not in SPELLINGS:
            raise Fault(f"split is none of {', '.join(SPLITS)}", f"it is {cell!r:.40}")
        return SPELLINGS[cell.lower()]


def read_rows(table: Table, column: Column, broken: Broken, read: Callable[[int, str], R]) -> list[R]:
    """``read`` every row, given its number and its image's hash; ``broken`` refuses or notes those with a
    :class:`Fault`.

    Where broken rows are left out, images are opened, too. Raises :class:`UsageError` if no row is left.
    """
    rows = []
    for number in range(len(table)):
        try:
            rows.append(read(number, image_hash(column, number, opened=broken.skip)))
        except Fault as fault:
            broken.found(number, *fault.args)
    if not rows:
        kind, numbers = max(broken.rows.items(), key=lambda item: len(item[1]))
        raise UsageError(
            f"data {table.data!r} has no row that can be used",
            where=table.place,
            why=f"{kind} in {len(numbers)} of {len(table)}, such as {table.title(numbers[0])}",
            fix="see that data.options names the right columns",
        )
    return rows


def image_hash(column: Column, number: int, *, opened: bool) -> str:
    """Hash a row's image; :class:`Fault` if there is none, or it can't be read or, if ``opened``, opened."""
    if column.is_empty(number):
        raise Fault("no image")
    try:
        encoded = column.encoded(number)
        if opened:
            column.image(number)
    except UsageError as error:
        why = error.__cause__ or error
        missing = "no file" if isinstance(why, FileNotFoundError) else "unreadable image"
        raise Fault(why.fault if isinstance(why, BrokenImage) else missing, why) from error
    return sha256_bytes(encoded)


def _layout(options: Columns, table: Table) -> list[str]:
    """The split of each row that its table's name says, or else the folders in its image's name."""
    if not options.own_splits or options.split is not None:
        return [TRAIN] * len(table)
    splits = table.own_splits
    found = [splits[number] for number in table.file_of]
    if names_files(table, options.image):
        for row, name in enumerate(table.rows[options.image][:]):
            parts = PurePath(name or "").parts[:-1]
            named = [SPELLINGS[part.lower()] for part in parts if part.lower() in SPELLINGS]
            found[row] = named[-1] if named and found[row] == TRAIN else found[row]
    return found
