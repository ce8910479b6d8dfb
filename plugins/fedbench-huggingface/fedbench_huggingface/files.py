"""The files of a data set: which of a folder's are its tables, and of which split of its own each is."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import Path

from fedbench import UsageError

FORMATS: Mapping[str, str] = {
    ".parquet": "parquet",
    ".arrow": "arrow",
    ".feather": "arrow",
    ".csv": "csv",
    ".tsv": "csv",
    ".jsonl": "jsonl",
    ".ndjson": "jsonl",
    ".json": "json",
    ".tar": "webdataset",
}
"""The format of a table by the end of its file's name."""

NO_TABLES = frozenset({"dataset_info.json", "dataset_infos.json", "dataset_dict.json", "state.json"})
"""Files that ``datasets`` writes beside its tables."""

TRAIN, VALIDATION, TEST = SPLITS = ("train", "validation", "test")

SPELLINGS: Mapping[str, str] = {
    "train": TRAIN,
    "training": TRAIN,
    "test": TEST,
    "testing": TEST,
    "validation": VALIDATION,
    "valid": VALIDATION,
    "val": VALIDATION,
    "dev": VALIDATION,
    "eval": VALIDATION,
}
"""What splits are called elsewhere."""

_SPLIT = re.compile(r"(?:^|[-_./])(test|validation|valid|val|dev|eval)(?:[-_./]|$)")


def patterns(formats: Sequence[str]) -> list[str]:
    """List the patterns of the names of files in ``formats``."""
    return [f"*{end}" for end, kind in FORMATS.items() if kind in formats]


def tables(data: str, place: Path, formats: Sequence[str]) -> list[Path]:
    """List the tables of data set ``data`` at ``place``, a file or a folder, sorted: all of one format.

    In a folder with a ``metadata.*`` these are its tables. Raises :class:`UsageError` if there are none, or
    of several formats.
    """
    fix = "set data.files.path to the folder or the file that holds them"
    if place.is_file():
        if FORMATS.get(place.suffix.lower()) not in formats:
            kinds = ", ".join(end for end, kind in FORMATS.items() if kind in formats)
            raise UsageError(
                f"data {data!r} can't be read", where=place, why=f"it is none of {kinds}", fix=fix
            )
        return [place]
    found = sorted(
        path
        for path in place.rglob("*")
        if FORMATS.get(path.suffix.lower()) in formats and path.name not in NO_TABLES and path.is_file()
    )
    found = [path for path in found if path.stem == "metadata"] or found
    if not found:
        named = "parquet" if list(formats) == ["parquet"] else "table"
        why = "it is made of nothing else" if named == "parquet" else f"it looked for {', '.join(FORMATS)}"
        raise UsageError(f"data {data!r} has no {named} files", where=place, why=why, fix=fix)
    examples = {FORMATS[path.suffix.lower()]: path for path in reversed(found)}
    if len(examples) > 1:
        named = ", ".join(str(path.relative_to(place)) for _, path in sorted(examples.items()))
        raise UsageError(
            f"data {data!r} has tables of several formats", where=place, why=f"such as {named}", fix=fix
        )
    return found


def own_split(path: str) -> str:
    """Tell by the ``path`` of a table, from its folder on, which split it is of: train if it names none."""
    match = _SPLIT.search(path.rpartition(".")[0] if "." in Path(path).name else path)
    return SPELLINGS[match[1]] if match else TRAIN
