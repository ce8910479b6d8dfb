"""The catalog: everything that the installed plugins register, by kind and name."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from fedbench.api.scenario import PartName, Scenario
from fedbench.api.specs import (
    BackboneSpec,
    DatasetSpec,
    FormSpec,
    LeaderboardSpec,
    MethodSpec,
    MetricSpec,
    PartitionerSpec,
    PublisherSpec,
    ScenarioSpec,
)
from fedbench.errors import UsageError, suggest
from fedbench.evaluation_defaults import with_evaluation
from fedbench.plugins import Plugin, Plugins
from fedbench.registry import Entry, Registry
from fedbench.resolution import ResolvedScenario, resolve_parts, resolve_reward_backbones

KINDS: Mapping[str, type[Any]] = {
    "method": MethodSpec,
    "scenario": ScenarioSpec,
    "backbone": BackboneSpec,
    "dataset": DatasetSpec,
    "partitioner": PartitionerSpec,
    "form": FormSpec,
    "metric": MetricSpec,
    "leaderboard": LeaderboardSpec,
    "publisher": PublisherSpec,
}
"""What a plugin may register, by the kind's name, with the class of its specs."""

FILE = Plugin(distribution="file", version="0", name="file", module="")
"""The provider of a scenario file that no plugin provides; its record says so."""


class Catalog:
    """Everything the installed plugins register, by kind; each kind is collected on first use."""

    def __init__(self, plugins: Plugins) -> None:
        self.plugins = plugins
        self._registries: dict[str, Registry[Any]] = {}

    def registry(self, kind: str) -> Registry[Any]:
        """Everything of a kind, one of :data:`KINDS`; collected from the plugins when first used."""
        if kind not in self._registries:
            specs = self.plugins.collect(f"fedbench_register_{kind}s", KINDS[kind])
            entries = [Entry(spec, plugin) for spec, plugin in specs]
            entries = self._with_forms(entries) if kind == "metric" else entries
            self._registries[kind] = Registry(kind, entries)
        return self._registries[kind]

    def _with_forms(self, metrics: list[Entry[MetricSpec]]) -> list[Entry[MetricSpec]]:
        """The metrics without those of plugins that name a form which no plugin has; these are reported."""
        known = {entry.name for entry in self.forms.entries}
        broken = set()
        for entry in metrics:
            form = entry.spec.form
            if not isinstance(form, str) or form.rpartition("/")[2] not in known:
                why = f"there is no form {form!r}, {suggest(str(form), known)}"
                self.plugins.reject(entry.plugin, ValueError(f"{entry.name!r}: {why}"))
                broken.add(entry.plugin.key)
        return [entry for entry in metrics if entry.plugin.key not in broken]

    def resolve(self, scenario: Scenario) -> ResolvedScenario:
        """Look up everything that ``scenario`` names, validate its options, complete its evaluation.

        :class:`UsageError` if something is not installed or does not take the options that are given.
        """
        registries: dict[PartName, Registry[Any]] = {
            "backbone": self.backbones,
            "data": self.datasets,
            "partition": self.partitioners,
        }
        try:
            parts = resolve_parts(scenario, registries)
            scenario = with_evaluation(scenario, parts["data"], self.forms, self.metrics)
            return ResolvedScenario(
                scenario=scenario,
                **parts,
                reward_backbones=resolve_reward_backbones(scenario, self.backbones),
                metrics=tuple(self.metrics[name] for name in scenario.evaluation.metrics),
                forms=self.forms,
            )
        except UsageError as error:
            raise UsageError(f"scenario {scenario.title}: {error}") from error

    def completed(self, scenario: Scenario) -> Scenario:
        """Complete the evaluation of ``scenario``; nothing is looked up if it is complete already."""
        return scenario if scenario.evaluation.complete else self.resolve(scenario).scenario

    def scenario(self, name: str) -> Entry[ScenarioSpec]:
        """Look up the installed scenario ``name``; one ending in ``.toml`` is a file of the user's own."""
        if name.endswith(".toml"):
            return Entry(ScenarioSpec(Path(name)), FILE)
        return self.scenarios[name]

    @property
    def methods(self) -> Registry[MethodSpec]:
        """Aggregators and reward fusers."""
        return self.registry("method")

    @property
    def scenarios(self) -> Registry[ScenarioSpec]:
        """Scenario files."""
        return self.registry("scenario")

    @property
    def backbones(self) -> Registry[BackboneSpec]:
        """Backbones."""
        return self.registry("backbone")

    @property
    def datasets(self) -> Registry[DatasetSpec]:
        """Data sets."""
        return self.registry("dataset")

    @property
    def partitioners(self) -> Registry[PartitionerSpec]:
        """Partitioners."""
        return self.registry("partitioner")

    @property
    def forms(self) -> Registry[FormSpec]:
        """Forms of evaluation items."""
        return self.registry("form")

    @property
    def metrics(self) -> Registry[MetricSpec]:
        """Metrics."""
        return self.registry("metric")

    @property
    def leaderboards(self) -> Registry[LeaderboardSpec]:
        """Board files."""
        return self.registry("leaderboard")

    @property
    def publishers(self) -> Registry[PublisherSpec]:
        """Publishers of boards, by URL scheme."""
        return self.registry("publisher")
