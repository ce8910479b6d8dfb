"""The round log: one line of JSON a round, appended as a run goes, and how a run finds where in it it stood.

A line is on the disk before the checkpoint that names it. So whatever kills a process leaves whole lines and
at most a torn last one, after all that a checkpoint names; going on from the checkpoint cuts it off.
"""

from __future__ import annotations

import hashlib
import os
from dataclasses import dataclass
from pathlib import Path

from fedbench.files import write_atomic


@dataclass(frozen=True)
class LogMark:
    """How far a round log had got: what a checkpoint holds of it, however many rounds are behind."""

    size: int
    """Bytes of the log."""
    sha256: str
    """Hash of these bytes."""


class DamagedLog(ValueError):
    """A round log that does not begin with the bytes that a mark stands for."""


class RoundLog:
    """The log at ``path`` of a run that begins, or goes on at a mark; one process writes at a time.

    Appending costs the same after ten rounds and after ten thousand. The first line replaces the log of an
    earlier run.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._size, self._hash = 0, hashlib.sha256()

    @property
    def mark(self) -> LogMark:
        """Where the log stands."""
        return LogMark(size=self._size, sha256=self._hash.hexdigest())

    def append(self, line: str) -> None:
        """Write a line, to the disk; after an error the log is as it was."""
        data = f"{line}\n".encode()
        if self._size:
            self._extend(data)
        else:
            write_atomic(self.path, f"{line}\n")
        self._size += len(data)
        self._hash.update(data)

    def _extend(self, data: bytes) -> None:
        with self.path.open("ab", buffering=0) as file:
            rest = memoryview(data)
            try:
                while rest:
                    rest = rest[file.write(rest) :]
                os.fsync(file.fileno())
            except BaseException:
                os.truncate(file.fileno(), self._size)
                raise

    def go_on(self, mark: LogMark) -> list[str]:
        """Cut off what follows ``mark`` and go on there; the lines up to it. :class:`DamagedLog` as
        :func:`read_log` raises it."""
        content = read_log(self.path, mark)
        os.truncate(self.path, mark.size)
        self._size, self._hash = mark.size, hashlib.sha256(content)
        return content.decode().split("\n")[:-1]


def read_log(path: Path, mark: LogMark) -> bytes:
    """Read the log up to ``mark``; :class:`DamagedLog` if that is not what it was then."""
    try:
        with path.open("rb") as file:
            content = file.read(mark.size)
    except FileNotFoundError as error:
        raise DamagedLog(f"the round log {path} is gone") from error
    if len(content) < mark.size:
        raise DamagedLog(f"the round log {path} has lost its end")
    if hashlib.sha256(content).hexdigest() != mark.sha256:
        raise DamagedLog(f"the round log {path} is damaged")
    return content
