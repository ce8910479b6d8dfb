"""Parts of a site that take long to make, kept by all that they are made from: pictures, scenarios' clients.

A part is found by the content that it shows and the code that draws it, so that a build draws only what
changed, and gives the bytes of a build that draws everything.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
from pydantic_core import to_json

from fedbench.data.cache_file import CacheFile
from fedbench.data.features import cache_folder
from fedbench.errors import FedbenchError
from fedbench.fingerprint import sha256_bytes, sha256_json
from fedbench.source_code import whole_core_sha256

FILE = "site-parts.sqlite"
TABLE = "CREATE TABLE IF NOT EXISTS parts (code TEXT, key TEXT PRIMARY KEY, text TEXT)"
DRAWN_BY = ("matplotlib", "numpy", "scipy", "pillow")
"""Distributions that, besides the core, decide what a part looks like."""

MOST = 2_000
"""Most parts that are kept, the newest; a site of four boards and sixteen scenarios has a hundred."""


class KeptParts:
    """Parts made before with the code that is installed, in a file below ``folder``; without one, every part
    is made each time."""

    def __init__(self, folder: Path | None) -> None:
        self._file = CacheFile(folder / FILE, TABLE) if folder else None
        self._code = sha256_json([whole_core_sha256(), *map(version, DRAWN_BY)])
        self._fresh: dict[str, str] = {}

    def text(self, made_from: Any, make: Callable[[], str]) -> str:
        """The part that ``make`` makes of the JSON values, dataclasses and arrays ``made_from``, and of
        nothing else."""
        content = to_json(made_from, fallback=np.ndarray.tolist, inf_nan_mode="constants")
        key = sha256_json([self._code, sha256_bytes(content)])
        if (text := self._fresh.get(key) or self._known(key)) is None:
            text = self._fresh[key] = make()
        return text

    def save(self) -> None:
        """Write what is new; drop what other code made, and the oldest beyond :data:`MOST`."""
        if self._file and self._fresh:
            self._file.use(self._write)

    def _known(self, key: str) -> str | None:
        found: list[tuple[str]] = []
        if self._file:
            self._file.use(
                lambda file: found.extend(file.execute("SELECT text FROM parts WHERE key = ?", [key]))
            )
        return found[0][0] if found else None

    def _write(self, file: sqlite3.Connection) -> None:
        file.execute("DELETE FROM parts WHERE code != ?", [self._code])
        rows = [(self._code, key, text) for key, text in self._fresh.items()]
        file.executemany("INSERT OR REPLACE INTO parts VALUES (?, ?, ?)", rows)
        newest = "SELECT rowid FROM parts ORDER BY rowid DESC LIMIT ?"
        file.execute(f"DELETE FROM parts WHERE rowid NOT IN ({newest})", [MOST])


def open_kept() -> KeptParts:
    """The parts kept in the user's folder for caches, if there is one."""
    try:
        return KeptParts(cache_folder())
    except FedbenchError:
        return KeptParts(None)
