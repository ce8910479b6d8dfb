"""The Parquet files of the papers' data sets, without what they themselves hold out."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from fedbench_huggingface.files import TRAIN
from fedbench_huggingface.images import Column, names_files
from fedbench_huggingface.source import Source
from fedbench_huggingface.tables import Table, read_table

from fedbench import UsageError


def read(options: Source, columns: Sequence[str]) -> tuple[Table, list[str]]:
    """Read the rows of all Parquet files, which must have ``columns``, and notes on what was left out.

    Where files are of the data's own train split and of others, by their names, the others are left out.
    """
    table = read_table(options, ["parquet"])
    for column in columns:
        table.require(column)
    splits = table.own_splits
    if TRAIN not in splits:
        return table, []
    notes = []
    for split in dict.fromkeys(split for split in splits if split != TRAIN):
        members = [number for number, other in enumerate(splits) if other == split]
        count = sum(int((table.file_of == number).sum()) for number in members)
        notes.append(
            f"{count} rows of its own split {split!r} are left out ({table.relative(members[0])}, …);"
            " what is asked about is drawn from the others"
        )
    return table.of_files([n for n, split in enumerate(splits) if split == TRAIN]), notes


def images(options: Source, table: Table, name: str, folder: str | None = None) -> Column:
    """Open column ``name`` of images, or of the names of files below ``folder``, which must be given then."""
    if folder is None and names_files(table, name):
        raise UsageError(
            f"data {options.name!r} names files and does not hold the images",
            why=f"its column {name!r} is text",
            fix=_images_fix(options),
        )
    return Column.of(table, name, Path(folder).expanduser() if folder else None)


def _images_fix(options: Source) -> str:
    """What to do about a column of names, by what the data set takes."""
    fields = type(options).model_fields
    if "images" in fields:
        return "set data.files.images to the folder that they lie in"
    if "image_column" in fields:
        return "name the column that holds the images in data.options.image_column"
    return "put the images themselves into that column (datasets.Image)"
