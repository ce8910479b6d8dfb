"""The first rung of the ladder: is this file a record of a scenario and a method as they are installed?

Nothing of it is run, loaded or followed; it is read once, with bounds, and compared.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import Any

from fedbench.api.options import validated
from fedbench.api.scenario import Scenario, load_scenario
from fedbench.catalog import Catalog
from fedbench.errors import FedbenchError, UsageError
from fedbench.fingerprint import canonical_json
from fedbench.plugins import NAME
from fedbench.results.anchors import ANCHORS, sole_provider
from fedbench.results.layout import method_label, run_folder, run_id
from fedbench.results.parsing import NotJson, content_id, parse, read_bytes
from fedbench.results.records import Record, ScenarioInfo
from fedbench.results.store import record_of
from fedbench.verification.safety import objection, shown

HASH = 64
"""Hexadecimal digits of a sha256."""


class Refused(FedbenchError):
    """A record is not what it has to be; the message says why."""


class Retired(FedbenchError):
    """``record`` is of an earlier version of its scenario or another one of its method; the message says what
    has changed."""

    def __init__(self, record: Record, what: str) -> None:
        super().__init__(what)
        self.record = record


@dataclass
class Installed:
    """The scenarios and default options that records are compared with, each looked up once."""

    catalog: Catalog
    _scenarios: dict[tuple[str, str], Scenario] = field(default_factory=dict)
    _defaults: dict[tuple[str, str], Mapping[str, Any] | None] = field(default_factory=dict)

    def scenario(self, record: Record) -> Scenario:
        """The record's scenario with the record's changes made to it; :class:`Refused` if it is another,
        :class:`Retired` if an earlier version."""
        asked = record.scenario
        found = self._changed(asked, {})
        if asked.version < found.version:
            raise Retired(record, f"it is of {asked.name}@{asked.version}, installed is {found.title}")
        if asked.version != found.version:
            raise Refused(f"it is of {asked.name}@{asked.version}, installed is {found.title}")
        found = self._changed(asked, asked.changes)
        if asked.fingerprint != found.fingerprint:
            raise Refused(f"its scenario's fingerprint is not that of {found.title} as installed")
        if asked.track != found.track:
            raise Refused(f"{found.title} is of the {found.track} track")
        return found

    def _changed(self, asked: ScenarioInfo, changes: Mapping[str, Any]) -> Scenario:
        key = asked.name, canonical_json(changes)
        if key not in self._scenarios:
            self._scenarios[key] = self._load(asked, changes)
        return self._scenarios[key]

    def _load(self, asked: ScenarioInfo, changes: Mapping[str, Any]) -> Scenario:
        try:
            path = self.catalog.scenarios[asked.name].spec.path
        except UsageError as error:
            raise Refused(shown(str(error), 200)) from error
        try:
            return load_scenario(path, changes)
        except UsageError as error:
            raise Refused(f"the changes to its scenario are none that {asked.name} takes") from error

    def defaults(self, record: Record) -> Mapping[str, Any] | None:
        """The default options of the record's method, if that is installed."""
        key = record.method.provider.plugin, record.method.name
        if key not in self._defaults:
            try:
                entry = self.catalog.methods["/".join(key)]
                self._defaults[key] = validated(entry.options, {}, key[1]).model_dump(mode="json")
            except FedbenchError:
                self._defaults[key] = None
        return self._defaults[key]

    def is_ceiling(self, record: Record) -> bool:
        """Whether the record is of the one installed method that has the name of its track's ceiling."""
        name, method = ANCHORS[record.scenario.track].ceiling, record.method
        installed = ((entry.name, entry.plugin.name) for entry in self.catalog.methods.entries)
        return (method.name, method.provider.plugin) == (name, sole_provider(name, installed))

    def check_options(self, record: Record) -> None:
        """Whether an installed method takes the record's options, and these are all of them."""
        if self.defaults(record) is None:
            return
        name, options = record.method.name, record.method.options
        entry = self.catalog.methods[f"{record.method.provider.plugin}/{name}"]
        try:
            complete = validated(entry.options, options, f"method {name!r}").model_dump(mode="json")
            fit = canonical_json(complete) == canonical_json(options)
            problem = "" if fit else "its options are not all that the method has"
        except UsageError as error:
            problem = shown(str(error), 200)
        if problem and self.is_of_another_version(record):
            raise Retired(record, f"made with another version of its method: {problem}")
        if problem:
            raise Refused(problem)

    def is_of_another_version(self, record: Record) -> bool:
        """Whether the record's method is installed in another version than the record is of."""
        provider = record.method.provider
        found = [e for e in self.catalog.methods.entries if e.name == record.method.name]
        return any(e.plugin.name == provider.plugin and e.plugin.version != provider.version for e in found)


def read_valid(
    path: Path, installed: Installed, place: PurePosixPath | None = None
) -> tuple[Record, Scenario]:
    """The record at ``path`` and its scenario; :class:`Refused` if it isn't valid, :class:`Retired` if that
    can't be told any more.

    ``place`` is where in a folder of records it lies, which must be where its run belongs.
    """
    try:
        values = parse(read_bytes(path))
        record = record_of(values, path, strict=True)
    except (UsageError, NotJson) as error:
        raise Refused(shown(str(error).replace(f" in {path}", ""), 200)) from error
    if problem := objection(values):
        raise Refused(problem)
    if content_id(values) != record.record_id:
        raise Refused("record_id is not the hash of its content: it was changed after it was written")
    if record.status != "completed":
        raise Refused(f"it is {record.status}, only completed runs count")
    _check_names(record)
    outdated, method = None, record.method
    try:
        scenario = installed.scenario(record)
        installed.check_options(record)
    except Retired as error:
        outdated = error
    asked = run_id(
        record.scenario.fingerprint, method.name, method.provider.plugin, method.options, record.seed
    )
    if record.run_id != asked:
        raise Refused("run_id is not the hash of what it says was run")
    if place is not None and place not in (places := places_of(record, installed)):
        raise Refused(f"it belongs at {places[0]}")
    if outdated is not None:
        raise outdated
    return record, scenario


def _check_names(record: Record) -> None:
    """Names name files and rows: letters, digits, - _ . and nothing else. Digests are digests."""
    scenario, method = record.scenario, record.method
    providers = (scenario.provider, method.provider)
    named = [("scenario.name", scenario.name), ("method.name", method.name)]
    named += [("provider.plugin", provider.plugin) for provider in providers]
    named += [("provider.distribution", provider.distribution) for provider in providers]
    for where, name in named:
        if not NAME.fullmatch(name):
            raise Refused(f"{where} is not a name")
    if record.seed < 0:
        raise Refused(f"its seed is {record.seed}")
    for entry in record.rounds:
        if len(entry.digest) != HASH or not set(entry.digest) <= set("0123456789abcdef"):
            raise Refused(f"the digest of round {entry.round} is not a sha256")


def places_of(record: Record, installed: Installed) -> list[PurePosixPath]:
    """The folders that a record may lie in, the usual one first.

    Options that are the defaults have no part in it, but the folder may be taken by a record from before they
    were; and nobody knows the defaults of a method that is not installed, or was installed otherwise.
    """
    method, defaults = record.method, installed.defaults(record)
    usual = defaults is not None and canonical_json(defaults) == canonical_json(method.options)
    title = f"{record.scenario.name}@{record.scenario.version}"
    label = method_label(method.name, method.provider.plugin, method.provider.distribution)
    changed = record.scenario.fingerprint if record.scenario.changes else ""
    plain, marked = (
        run_folder(title, label, record.seed, changed=changed, options=options)
        for options in (None, method.options)
    )
    if usual:
        return [plain, marked]
    return [marked, plain] if defaults is None or installed.is_of_another_version(record) else [marked]
