"""Small results in an SQLite file of the user's caches, which may be damaged, locked or not writable."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class CacheFile:
    """The file at ``path`` with one ``table``, as the SQL that makes it."""

    path: Path
    table: str

    def use(self, work: Callable[[sqlite3.Connection], None]) -> None:
        """Do ``work`` on the file in one transaction; a damaged one is removed, and one that can't be used is
        no obstacle."""
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            with closing(sqlite3.connect(self.path)) as connection, connection:
                connection.execute(self.table)
                work(connection)
        except sqlite3.DatabaseError as error:
            if not isinstance(error, sqlite3.OperationalError):
                self.path.unlink(missing_ok=True)
        except OSError:
            pass
