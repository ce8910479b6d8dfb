"""The first rung of the ladder: is this file a record of a scenario and a method as they are installed?

Nothing of it is run, loaded or followed; it is read once, with bounds, and compared.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import Any

from fedbench.catalog import Catalog
from fedbench.errors import FedbenchError, UsageError
from fedbench.fingerprint import canonical_json
from fedbench.leaderboard.safety import objection, shown
from fedbench.plugins import NAME
from fedbench.results.anchors import ANCHORS
from fedbench.results.parsing import NotJson, content_id, parse, read_bytes
from fedbench.results.places import method_label, run_folder, run_id
from fedbench.results.record import Record, ScenarioInfo
from fedbench.results.store import record_of
from fedbench.scenario import Scenario, load_scenario
from fedbench.values import validated

HASH = 64
"""Hexadecimal digits of a sha256."""


class Refused(FedbenchError):
    """A record is not what it has to be; the message says why."""


class Retired(FedbenchError):
    """``record`` is of an earlier version of its scenario or method; the message says of which."""

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
        key = asked.name, canonical_json(asked.changes)
        if key not in self._scenarios:
            self._scenarios[key] = self._load(asked)
        found = self._scenarios[key]
        if asked.version < found.version:
            raise Retired(record, f"it is of {asked.name}@{asked.version}, installed is {found.title}")
        if asked.version != found.version:
            raise Refused(f"it is of {asked.name}@{asked.version}, installed is {found.title}")
        if asked.fingerprint != found.fingerprint:
            raise Refused(f"its scenario's fingerprint is not that of {found.title} as installed")
        if asked.track != found.track:
            raise Refused(f"{found.title} is of the {found.track} track")
        return found

    def _load(self, asked: ScenarioInfo) -> Scenario:
        try:
            path = self.catalog.scenarios[asked.name].spec.path
        except UsageError as error:
            raise Refused(shown(str(error), 200)) from error
        try:
            return load_scenario(path, asked.changes)
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
        providers = [entry.plugin.name for entry in self.catalog.methods.entries if entry.name == name]
        return (method.name, [method.provider.plugin]) == (name, providers)

    def check_options(self, record: Record) -> None:
        """Whether an installed method takes the record's options, and these are all of them."""
        if self.defaults(record) is None:
            return
        name, options = record.method.name, record.method.options
        entry = self.catalog.methods[f"{record.method.provider.plugin}/{name}"]
        try:
            complete = validated(entry.options, options, f"method {name!r}").model_dump(mode="json")
        except UsageError as error:
            raise Refused(shown(str(error), 200)) from error
        if canonical_json(complete) != canonical_json(options):
            if self.is_of_another_version(record):
                raise Retired(record, "its method's options were others when it was made")
            raise Refused("its options are not all that the method has")

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
    scenario = installed.scenario(record)
    installed.check_options(record)
    method = record.method
    asked = run_id(
        record.scenario.fingerprint, method.name, method.provider.plugin, method.options, record.seed
    )
    if record.run_id != asked:
        raise Refused("run_id is not the hash of what it says was run")
    if place is not None and place not in (places := _places(record, installed)):
        if installed.is_of_another_version(record) and place in _folders(record, (None, method.options)):
            raise Retired(record, "its method's defaults were others when it was made")
        raise Refused(f"it belongs at {places[0]}")
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


def _places(record: Record, installed: Installed) -> list[PurePosixPath]:
    """Where the record may lie; of a method that isn't installed nobody knows which options are unusual."""
    defaults, options = installed.defaults(record), record.method.options
    if defaults is None:
        return _folders(record, (None, options))
    return _folders(record, (None if canonical_json(defaults) == canonical_json(options) else options,))


def _folders(record: Record, unusual: Iterable[Mapping[str, Any] | None]) -> list[PurePosixPath]:
    """A record's folder for each set of options that might be ``unusual``."""
    method, changed = record.method, record.scenario.fingerprint if record.scenario.changes else ""
    label = method_label(method.name, method.provider.plugin, method.provider.distribution)
    title = f"{record.scenario.name}@{record.scenario.version}"
    return [run_folder(title, label, record.seed, changed=changed, options=options) for options in unusual]


def place_of(record: Record, installed: Installed) -> PurePosixPath:
    """The folder of a record among others."""
    return _places(record, installed)[-1]
