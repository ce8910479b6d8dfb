"""Jobs: the matrix of scenarios, methods and seeds, checked before anything is loaded."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from fedbench.api.options import Options, validated
from fedbench.api.scenario import Scenario
from fedbench.api.specs import MethodSpec, ScenarioSpec
from fedbench.catalog import FILE, Catalog
from fedbench.errors import UsageError
from fedbench.plugins import Plugin
from fedbench.registry import Entry
from fedbench.resolution import ResolvedScenario
from fedbench.results.identity import Identity, PackageCode, changed_code
from fedbench.results.layout import method_label, run_folder, run_id
from fedbench.results.records import Record
from fedbench.results.store import RECORD, read_record
from fedbench.scenario_files import load_scenario
from fedbench.source_code import source_code


@dataclass(frozen=True)
class Job:
    """One run that was asked for: everything resolved and checked, nothing loaded yet."""

    resolved: ResolvedScenario
    """The scenario, with its changes and all that it names."""
    scenario_entry: Entry[ScenarioSpec]
    """The scenario's file and who provides it."""
    method_entry: Entry[MethodSpec]
    """The method and the plugin that provides it."""
    options: Options
    """The method's options, validated."""
    seed: int
    """The seed of every random stream."""
    output: Path
    """The folder below which records lie."""

    @property
    def scenario(self) -> Scenario:
        """The scenario, with its changes."""
        return self.resolved.scenario

    @property
    def run_id(self) -> str:
        """The identity of the request: the same whenever and wherever it is made."""
        method = self.method_entry
        options = self.options.model_dump(mode="json")
        return run_id(self.scenario.fingerprint, method.name, method.plugin.name, options, self.seed)

    @property
    def label(self) -> str:
        """The method's name in paths; its provider belongs to it where it is no part of the suite."""
        plugin = self.method_entry.plugin
        return method_label(self.method_entry.name, plugin.name, plugin.distribution)

    @property
    def folder(self) -> Path:
        """``output/scenario@version/method/seed-N``; a hash marks changed scenarios and options."""
        unusual = self.options.model_dump(exclude_defaults=True)
        return self.output / run_folder(
            self.scenario.title,
            self.label,
            self.seed,
            changed=self.scenario.fingerprint if self.scenario.modified else "",
            options=self.options.model_dump(mode="json") if unusual else None,
        )

    @property
    def record(self) -> Path:
        """The path of its completed record."""
        return self.folder / RECORD

    @property
    def plugins(self) -> tuple[Plugin, ...]:
        """The plugins whose code has a part in the run's numbers."""
        return (self.method_entry.plugin, self.scenario_entry.plugin, *self.resolved.plugins)

    @property
    def code(self) -> Identity:
        """The code that it would run with now."""
        packages = source_code(self.plugins).values()
        return Identity(
            code={code.package: PackageCode(version=code.version, sha256=code.sha256) for code in packages}
        )

    @property
    def status(self) -> str:
        """``to run``, ``done``, or ``changed``: done with other code. Content is looked at by a run only."""
        record = self.completed
        if record is None:
            return "to run"
        return "changed" if changed_code(record.identity, self.code) else "done"

    @property
    def completed(self) -> Record | None:
        """Its completed record, if it is there; :class:`UsageError` if another request's is in its place."""
        if not self.record.exists():
            return None
        record = read_record(self.record)
        if record.run_id != self.run_id:
            raise UsageError(
                "the record there is of another request",
                where=self.record,
                why="another plugin's method of this name, or a scenario changed without a new version",
                fix="choose another --output, or move the old records away",
            )
        return record


def plan_jobs(
    catalog: Catalog,
    *,
    methods: Sequence[str],
    scenarios: Sequence[str | Path | Scenario],
    seeds: Sequence[int],
    options: Mapping[str, Any],
    changes: Mapping[str, Any],
    output: Path,
) -> list[Job]:
    """Plan the matrix scenarios × methods × seeds, all names and values checked; no run twice.

    A scenario is a name, the path of a ``.toml`` file, installed or not, or a :class:`Scenario`. An option
    ``method.key`` goes to that method only, ``key`` to every method.
    """
    method_entries = catalog.methods.select(methods)
    for key in options:
        prefix, dot, _ = key.rpartition(".")
        if dot and prefix not in {entry.name for entry in method_entries}:
            raise UsageError(f"option {key!r} is for method {prefix!r}, which is not among --method")
    jobs = []
    for scenario, scenario_entry in _scenarios(catalog, scenarios, changes):
        resolved = catalog.resolve(scenario)
        for entry in method_entries:
            if entry.spec.track not in (scenario.track, "any"):
                raise UsageError(
                    f"method {entry.name!r} is for the {entry.spec.track} track,"
                    f" scenario {scenario.name!r} for {scenario.track}"
                )
            chosen = {
                key.rpartition(".")[2]: value
                for key, value in options.items()
                if key.rpartition(".")[0] in ("", entry.name)
            }
            checked = validated(entry.options, chosen, f"method {entry.name!r}")
            jobs += [
                Job(
                    resolved=resolved,
                    scenario_entry=scenario_entry,
                    method_entry=entry,
                    options=checked,
                    seed=seed,
                    output=output,
                )
                for seed in dict.fromkeys(seeds)
            ]
    return jobs


def _scenarios(
    catalog: Catalog, wanted: Sequence[str | Path | Scenario], changes: Mapping[str, Any]
) -> list[tuple[Scenario, Entry[ScenarioSpec]]]:
    """List each scenario once, with ``changes`` made to it, and its entry in the catalog."""
    chosen: dict[Path | str, tuple[Scenario, Entry[ScenarioSpec]]] = {}
    for one in wanted:
        if isinstance(one, Scenario):
            scenario = one.changed(changes)
            chosen.setdefault(scenario.fingerprint, (scenario, _entry_of(catalog, scenario)))
        else:
            entry = catalog.scenario(str(one))
            chosen.setdefault(
                entry.spec.path, (load_scenario(entry.spec.path, changes, catalog=catalog), entry)
            )
    return list(chosen.values())


def _entry_of(catalog: Catalog, scenario: Scenario) -> Entry[ScenarioSpec]:
    """Look up the installed scenario that ``scenario`` is, changes aside; else make the entry of a file."""
    for entry in catalog.scenarios.entries:
        if entry.name == scenario.name:
            try:
                installed = load_scenario(entry.spec.path, scenario.changes, catalog=catalog)
            except UsageError:
                continue
            if installed.fingerprint == scenario.fingerprint:
                return entry
    return Entry(ScenarioSpec(scenario.folder / f"{scenario.name}.toml"), FILE)
