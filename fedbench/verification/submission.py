"""The files that somebody hands in: found without following, opening or unpacking anything."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from fedbench.errors import UsageError
from fedbench.results.store import RECORD, ROUND_LOG

MOST_FILES = 50_000
DEEPEST = 8
"""Folders within each other; records lie three deep."""

COMPANIONS = {ROUND_LOG, ".lock"}
"""What a run leaves beside its record; it is not looked at."""


PLACE = 3
"""Folders that say where a record belongs: scenario, method, seed."""


@dataclass(frozen=True)
class Handed:
    """A file. ``place`` is its scenario's, method's and seed's folder if a folder was handed in, None if the
    file was; ``problem`` says why it can't be a record."""

    path: Path
    place: PurePosixPath | None = None
    problem: str = ""


def handed_in(paths: Iterable[Path]) -> Iterator[Handed]:
    """Every file of ``paths``, a folder standing for all that is below it, in a fixed order."""
    count = 0
    for path in paths:
        for found in _below(path, path) if _is_folder(path) else [_judged(path, None)]:
            count += 1
            if count > MOST_FILES:
                yield Handed(path, problem=f"more than {MOST_FILES} files were handed in")
                return
            if found is not None:
                yield found


def _is_folder(path: Path) -> bool:
    try:
        return stat.S_ISDIR(path.lstat().st_mode)
    except OSError as error:
        raise UsageError(f"no such record or folder: {path}") from error


def _below(folder: Path, root: Path) -> Iterator[Handed | None]:
    for entry in sorted(os.scandir(folder), key=lambda entry: entry.name):
        path = Path(entry.path)
        if entry.is_dir(follow_symlinks=False):
            if len(path.relative_to(root).parts) > DEEPEST:
                yield Handed(path, problem="its folders are nested too deeply")
            else:
                yield from _below(path, root)
        elif entry.name in COMPANIONS and entry.is_file(follow_symlinks=False):
            yield None
        else:
            yield _judged(path, PurePosixPath(*path.absolute().parent.parts[-PLACE:]))


def _judged(path: Path, place: PurePosixPath | None) -> Handed:
    mode = path.lstat().st_mode
    if stat.S_ISLNK(mode):
        return Handed(path, place, "it is a link, which is not followed")
    if not stat.S_ISREG(mode):
        return Handed(path, place, "it is not a plain file")
    if path.suffix in (".zip", ".gz", ".tar", ".tgz", ".xz", ".7z"):
        return Handed(path, place, "it is an archive, which is not opened: hand in the record files")
    if path.name != RECORD and (place is not None or path.suffix != ".json"):
        return Handed(path, place, f"it is no {RECORD}, and nothing else belongs here")
    return Handed(path, place)
