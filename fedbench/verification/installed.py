"""The scenarios and methods as they are installed, which records are compared with."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from fedbench.api.options import validated
from fedbench.api.scenario import Scenario
from fedbench.catalog import Catalog
from fedbench.errors import FedbenchError, UsageError
from fedbench.fingerprint import canonical_json
from fedbench.results.anchors import ANCHORS, sole_provider
from fedbench.results.records import Record, ScenarioInfo
from fedbench.scenario_files import load_scenario
from fedbench.verification.safety import quoted


class InvalidRecord(FedbenchError):
    """A file is no valid record; the message says why."""


class RetiredRecord(FedbenchError):
    """``record`` is of an earlier version of its scenario or of another version of its method."""

    def __init__(self, record: Record, what: str) -> None:
        super().__init__(what)
        self.record = record


@dataclass
class Installed:
    """Looks up scenarios and default options in ``catalog``, each once."""

    catalog: Catalog
    _scenarios: dict[tuple[str, str], Scenario] = field(default_factory=dict)
    """By name and the canonical JSON of the changes."""
    _defaults: dict[tuple[str, str], Mapping[str, Any] | None] = field(default_factory=dict)
    """By plugin and method."""

    def scenario(self, record: Record) -> Scenario:
        """The record's scenario with the record's changes made to it.

        Refuses scenarios that are not the installed one: raises :class:`InvalidRecord`, or
        :class:`RetiredRecord` for an earlier version.
        """
        info = record.scenario
        unchanged = self._scenario(info, {})
        if info.version != unchanged.version:
            problem = f"it is of {info.name}@{info.version}, installed is {unchanged.title}"
            if info.version < unchanged.version:
                raise RetiredRecord(record, problem)
            raise InvalidRecord(problem)
        scenario = self._scenario(info, info.changes)
        if info.fingerprint != scenario.fingerprint:
            raise InvalidRecord(f"its scenario's fingerprint is not that of {scenario.title} as installed")
        if info.track != scenario.track:
            raise InvalidRecord(f"{scenario.title} is of the {scenario.track} track")
        return scenario

    def _scenario(self, info: ScenarioInfo, changes: Mapping[str, Any]) -> Scenario:
        key = info.name, canonical_json(changes)
        if key not in self._scenarios:
            self._scenarios[key] = self._load(info.name, changes)
        return self._scenarios[key]

    def _load(self, name: str, changes: Mapping[str, Any]) -> Scenario:
        try:
            path = self.catalog.scenarios[name].spec.path
        except UsageError as error:
            raise InvalidRecord(quoted(str(error), 200)) from error
        try:
            return self.catalog.completed(load_scenario(path, changes, catalog=self.catalog))
        except UsageError as error:
            raise InvalidRecord(f"the changes to its scenario are none that {name} takes") from error

    def defaults(self, record: Record) -> Mapping[str, Any] | None:
        """The default options of the record's method; None if it is not installed."""
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
        """Refuses options that the installed method does not have, and records that leave some out.

        Raises :class:`InvalidRecord`, or :class:`RetiredRecord` if another version is installed.
        """
        if self.defaults(record) is None:
            return
        name, options = record.method.name, record.method.options
        entry = self.catalog.methods[f"{record.method.provider.plugin}/{name}"]
        try:
            complete = validated(entry.options, options, f"method {name!r}").model_dump(mode="json")
            same = canonical_json(complete) == canonical_json(options)
            problem = "" if same else "its options are not all that the method has"
        except UsageError as error:
            problem = quoted(str(error), 200)
        if problem and self.is_of_another_version(record):
            raise RetiredRecord(record, f"made with another version of its method: {problem}")
        if problem:
            raise InvalidRecord(problem)

    def is_of_another_version(self, record: Record) -> bool:
        """Whether the record's method is installed in another version than the record is of."""
        provider = record.method.provider
        entries = [e for e in self.catalog.methods.entries if e.name == record.method.name]
        return any(e.plugin.name == provider.plugin and e.plugin.version != provider.version for e in entries)
