"""Atomic writes: a reader sees the whole of the old file or the whole of the new one."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path

from filelock import FileLock, Timeout

PATIENCE = 1.0
"""Seconds that are waited for a lock without a word."""

PARTIAL = ".part"
"""How the name of an unfinished file ends."""


@contextmanager
def atomic_path(path: Path) -> Iterator[Path]:
    """Yield a temporary path beside ``path`` and move the file into place when the block succeeds."""
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(prefix=f".{path.name}.", suffix=PARTIAL, dir=path.parent)
    os.close(handle)
    temporary = Path(name)
    try:
        yield temporary
        with temporary.open("rb") as file:
            os.fsync(file.fileno())
        temporary.chmod(0o644)
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)


def write_atomic(path: Path, text: str) -> None:
    """Write ``text`` to ``path`` atomically (UTF-8)."""
    with atomic_path(path) as temporary:
        temporary.write_text(text, encoding="utf-8")


def write_new(path: Path, data: bytes) -> bool:
    """Write a new file atomically; return False if it is there already, written by whatever process."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.NamedTemporaryFile(prefix=f".{path.name}.", suffix=PARTIAL, dir=path.parent) as file:
        file.write(data)
        file.flush()
        os.fchmod(file.fileno(), 0o644)
        os.fsync(file.fileno())
        try:
            os.link(file.name, path)
        except FileExistsError:
            return False
    return True


def locked(path: Path, waiting: Callable[[], None]) -> AbstractContextManager[object]:
    """Take the lock file ``path``, to be released by leaving the context; ``waiting`` is called once if
    another process has held it for :data:`PATIENCE`."""
    lock = FileLock(path)
    try:
        return lock.acquire(timeout=PATIENCE)
    except Timeout:
        waiting()
        return lock.acquire()


def remove_partial(folder: Path, name: str = "") -> None:
    """Remove the unfinished files of ``name…`` below ``folder``; no other process may be writing there."""
    for left in folder.rglob(f".{name}*{PARTIAL}"):
        left.unlink(missing_ok=True)
