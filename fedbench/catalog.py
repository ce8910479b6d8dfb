"""The catalog: everything that the installed plugins register, by kind and name."""

from __future__ import annotations

from functools import cached_property
from pathlib import Path
from typing import Any, TypeVar

from fedbench.api.scenario import PartName, Scenario
from fedbench.api.specs import (
    BackboneSpec,
    DatasetSpec,
    LeaderboardSpec,
    MethodSpec,
    MetricSpec,
    PartitionerSpec,
    PublisherSpec,
    ScenarioSpec,
)
from fedbench.errors import UsageError
from fedbench.plugins import Plugin, Plugins
from fedbench.registry import Entry, Registry
from fedbench.resolution import ResolvedScenario, resolve_parts, resolve_reward_backbones

S = TypeVar("S")

FILE = Plugin(distribution="file", version="0", name="file", module="")
"""The provider of a scenario file that no plugin provides; its record says so."""


class Catalog:
    """Everything the installed plugins register, by kind; each kind is collected on first use."""

    def __init__(self, plugins: Plugins) -> None:
        self.plugins = plugins

    def _registry(self, kind: str, spec: type[S]) -> Registry[S]:
        specs = self.plugins.collect(f"fedbench_register_{kind}s", spec)
        return Registry(kind, [Entry(item, plugin) for item, plugin in specs])

    def resolve(self, scenario: Scenario) -> ResolvedScenario:
        """Look up everything that ``scenario`` names and validate its options.

        :class:`UsageError` if something is not installed or does not take the options that are given.
        """
        registries: dict[PartName, Registry[Any]] = {
            "backbone": self.backbones,
            "data": self.datasets,
            "partition": self.partitioners,
        }
        try:
            return ResolvedScenario(
                scenario=scenario,
                **resolve_parts(scenario, registries),
                reward_backbones=resolve_reward_backbones(scenario, self.backbones),
                metrics=tuple(self.metrics[name] for name in scenario.evaluation.metrics),
            )
        except UsageError as error:
            raise UsageError(f"scenario {scenario.title}: {error}") from error

    def scenario(self, name: str) -> Entry[ScenarioSpec]:
        """Look up the installed scenario ``name``; one ending in ``.toml`` is a file of the user's own."""
        if name.endswith(".toml"):
            return Entry(ScenarioSpec(Path(name)), FILE)
        return self.scenarios[name]

    @cached_property
    def methods(self) -> Registry[MethodSpec]:
        """Aggregators and reward fusers."""
        return self._registry("method", MethodSpec)

    @cached_property
    def scenarios(self) -> Registry[ScenarioSpec]:
        """Scenario files."""
        return self._registry("scenario", ScenarioSpec)

    @cached_property
    def backbones(self) -> Registry[BackboneSpec]:
        """Backbones."""
        return self._registry("backbone", BackboneSpec)

    @cached_property
    def datasets(self) -> Registry[DatasetSpec]:
        """Data sets."""
        return self._registry("dataset", DatasetSpec)

    @cached_property
    def partitioners(self) -> Registry[PartitionerSpec]:
        """Partitioners."""
        return self._registry("partitioner", PartitionerSpec)

    @cached_property
    def metrics(self) -> Registry[MetricSpec]:
        """Metrics."""
        return self._registry("metric", MetricSpec)

    @cached_property
    def leaderboards(self) -> Registry[LeaderboardSpec]:
        """Board files."""
        return self._registry("leaderboard", LeaderboardSpec)

    @cached_property
    def publishers(self) -> Registry[PublisherSpec]:
        """Publishers of boards, by URL scheme."""
        return self._registry("publisher", PublisherSpec)
