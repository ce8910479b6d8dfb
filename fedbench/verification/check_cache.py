"""Checks of single records, kept: what was checked before beside the same installation is not checked again.

Only what tables and boards show is taken from here; ``fedbench leaderboard verify`` and ``add`` read every
file anew. An entry goes by the bytes of the file, where it lies, and all that it was compared with, so that
nothing is believed that a time stamp says. Without a folder that can be written all is checked each time.
"""

from __future__ import annotations

import json
import sqlite3
from pathlib import Path

from pydantic import TypeAdapter

from fedbench.api.specs import MethodSpec, ScenarioSpec
from fedbench.catalog import Catalog
from fedbench.data.cache_file import CacheFile
from fedbench.data.features import cache_folder
from fedbench.errors import FedbenchError, UsageError
from fedbench.fingerprint import sha256_bytes, sha256_json
from fedbench.registry import Entry
from fedbench.results.parsing import read_bytes
from fedbench.scenario_files import load_scenario
from fedbench.source_code import whole_core_sha256
from fedbench.verification.ladder import Checked
from fedbench.verification.submission import SubmittedFile

CHECKED = TypeAdapter(Checked)
FILE = "checked-records.sqlite"
TABLE = "CREATE TABLE IF NOT EXISTS checked (installation TEXT, key TEXT PRIMARY KEY, result TEXT)"


class CheckCache:
    """Results of checks that were made beside what ``catalog`` has, in a file below ``folder``."""

    def __init__(self, catalog: Catalog, folder: Path) -> None:
        self.installation = installation_sha256(catalog)
        self._file = CacheFile(folder / FILE, TABLE)
        self._known: dict[str, str] = {}
        self._fresh: dict[str, str] = {}
        self._file.use(self._read)

    def key(self, file: SubmittedFile) -> str:
        """Identify the check of a file by its bytes and the folders that it lies in; empty if it can't be
        read."""
        try:
            return sha256_json([sha256_bytes(read_bytes(file.path)), str(file.place)])
        except UsageError:
            return ""

    def get(self, key: str) -> Checked | None:
        """Look up the result of a check; None if it was not made yet, or can't be read."""
        text = self._known.get(key)
        try:
            return None if text is None else CHECKED.validate_python(json.loads(text))
        except ValueError:
            return None

    def put(self, key: str, checked: Checked) -> None:
        """Keep a result, to be written by :meth:`save`."""
        self._known[key] = self._fresh[key] = json.dumps(CHECKED.dump_python(checked, mode="json"))

    def save(self) -> None:
        """Write what is new; drop what was checked beside another installation."""
        if self._fresh:
            self._file.use(self._write)

    def _read(self, connection: sqlite3.Connection) -> None:
        of_here = "SELECT key, result FROM checked WHERE installation = ?"
        self._known = dict(connection.execute(of_here, [self.installation]))

    def _write(self, connection: sqlite3.Connection) -> None:
        connection.execute("DELETE FROM checked WHERE installation != ?", [self.installation])
        rows = [(self.installation, key, text) for key, text in self._fresh.items()]
        connection.executemany("INSERT OR REPLACE INTO checked VALUES (?, ?, ?)", rows)


def open_cache(catalog: Catalog) -> CheckCache | None:
    """Open the cache in the user's folder for caches; None without one."""
    try:
        return CheckCache(catalog, cache_folder())
    except FedbenchError:
        return None


def installation_sha256(catalog: Catalog) -> str:
    """Hash all that records are compared with: the core's code, scenario files, methods and their options."""
    scenarios = [
        [entry.plugin.key, entry.name, _fingerprint(entry, catalog)] for entry in catalog.scenarios.entries
    ]
    methods = [[*_provider(entry), _options(entry)] for entry in catalog.methods.entries]
    return sha256_json([whole_core_sha256(), scenarios, methods])


def _provider(entry: Entry[MethodSpec]) -> tuple[str, str, str]:
    return entry.plugin.key, entry.plugin.version, entry.name


def _fingerprint(entry: Entry[ScenarioSpec], catalog: Catalog) -> str:
    """The scenario's, which is also of what it extends."""
    try:
        return catalog.completed(load_scenario(entry.spec.path, catalog=catalog)).fingerprint
    except FedbenchError as error:
        return str(error)


def _options(entry: Entry[MethodSpec]) -> object:
    try:
        return entry.options.model_json_schema()
    except FedbenchError as error:
        return str(error)
