"""The files that somebody hands in: listed without following, opening or unpacking anything."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from fedbench.errors import UsageError
from fedbench.results.store import RECORD, ROUND_LOG, TRACE

MOST_FILES = 50_000
DEEPEST = 8
"""Folders within each other; records lie three deep."""

COMPANIONS = {ROUND_LOG, TRACE, ".lock"}
"""Files that a run leaves beside its record; they are not looked at."""

PLACE_DEPTH = 3
"""Folders that say where a record belongs: scenario, method, seed."""

ARCHIVES = (".zip", ".gz", ".tar", ".tgz", ".xz", ".7z")


@dataclass(frozen=True)
class SubmittedFile:
    """A file, or a folder that is too deep to look into."""

    path: Path
    place: PurePosixPath | None = None
    """Its folders of scenario, method and seed; None if the file was handed in by itself."""
    problem: str = ""
    """Why it can't be a record; empty if it may be one."""


def submitted_files(paths: Iterable[Path]) -> Iterator[SubmittedFile]:
    """Every file of ``paths``, in a fixed order; a folder stands for all that is below it.

    Refuses links, devices, archives, other files than records, deep folders and more than 50,000 files.
    """
    count = 0
    for path in paths:
        for file in _below(path, path) if _is_folder(path) else [_checked(path, None)]:
            count += 1
            if count > MOST_FILES:
                yield SubmittedFile(path=path, problem=f"more than {MOST_FILES} files were handed in")
                return
            if file is not None:
                yield file


def _is_folder(path: Path) -> bool:
    try:
        return stat.S_ISDIR(path.lstat().st_mode)
    except OSError as error:
        raise UsageError(f"no such record or folder: {path}") from error


def _below(folder: Path, root: Path) -> Iterator[SubmittedFile | None]:
    """Every file below ``folder``, which is ``root`` or lies in it; None for a companion of a record."""
    for entry in sorted(os.scandir(folder), key=lambda entry: entry.name):
        path = Path(entry.path)
        if entry.is_dir(follow_symlinks=False):
            if len(path.relative_to(root).parts) > DEEPEST:
                yield SubmittedFile(path=path, problem="its folders are nested too deeply")
            else:
                yield from _below(path, root)
        elif entry.name in COMPANIONS and entry.is_file(follow_symlinks=False):
            yield None
        else:
            yield _checked(path, PurePosixPath(*path.absolute().parent.parts[-PLACE_DEPTH:]))


def _checked(path: Path, place: PurePosixPath | None) -> SubmittedFile:
    """The file with what its name and kind already rule out."""
    mode, problem = path.lstat().st_mode, ""
    if stat.S_ISLNK(mode):
        problem = "it is a link, which is not followed"
    elif not stat.S_ISREG(mode):
        problem = "it is not a plain file"
    elif path.suffix in ARCHIVES:
        problem = "it is an archive, which is not opened: hand in the record files"
    elif path.name != RECORD and (place is not None or path.suffix != ".json"):
        problem = f"it is no {RECORD}, and nothing else belongs here"
    return SubmittedFile(path=path, place=place, problem=problem)
