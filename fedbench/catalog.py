"""Names to specs: what is installed, who provides it, and what to say when a name is wrong."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from functools import cache, cached_property
from importlib import import_module
from pathlib import Path
from typing import Any, Generic, TypeVar

from fedbench.api.options import Options, validated
from fedbench.api.scenario import Part, PartName, Scenario
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
from fedbench.errors import FedbenchError, UsageError, suggest
from fedbench.plugins import Plugin, Plugins

S = TypeVar("S")

FILE = Plugin(distribution="file", version="0", name="file", module="")
"""The provider of a scenario file that no plugin provides; its record says so."""


@dataclass(frozen=True, slots=True)
class Entry(Generic[S]):
    """A spec and the plugin that provides it."""

    spec: S
    plugin: Plugin

    @property
    def name(self) -> str:
        return self.spec.name  # type: ignore[attr-defined, no-any-return]

    @property
    def qualified(self) -> str:
        return f"{self.plugin.name}/{self.name}"

    @property
    def options(self) -> type[Options]:
        """The spec's options model."""
        model = self.spec.options  # type: ignore[attr-defined]
        return resolve(model, self.plugin) if isinstance(model, str) else model  # type: ignore[no-any-return]

    def create(self, *arguments: Any) -> Any:
        """Resolve the spec's factory and call it; a failure names the plugin."""
        factory = resolve(self.spec.factory, self.plugin)  # type: ignore[attr-defined]
        try:
            return factory(*arguments)
        except FedbenchError:
            raise
        except Exception as error:
            raise FedbenchError(
                f"plugin {self.plugin.title} can't make {self.name!r}",
                why=f"{type(error).__name__}: {error}",
                fix="FEDBENCH_DEBUG=1 shows where",
            ) from error


class Registry(Generic[S]):
    """All entries of one kind."""

    def __init__(self, kind: str, entries: Iterable[Entry[S]]) -> None:
        self.kind = kind
        self.entries = sorted(entries, key=lambda entry: (entry.name, entry.plugin.key))

    def select(self, names: Iterable[str]) -> list[Entry[S]]:
        """The entries called ``names``, in this order and each once."""
        found = map(self.__getitem__, names)
        return list({(entry.plugin.key, entry.name): entry for entry in found}.values())

    def __getitem__(self, name: str) -> Entry[S]:
        """The entry called ``name`` or ``provider/name``; :class:`UsageError` if none or several."""
        provider, _, short = name.rpartition("/")
        found = [
            entry
            for entry in self.entries
            if entry.name == short and (not provider or entry.plugin.answers_to(provider))
        ]
        if len(found) == 1:
            return found[0]
        if found:
            choices = ", ".join(f"{entry.plugin.key}/{entry.name}" for entry in found)
            raise UsageError(f"several plugins provide {self.kind} {name!r}", fix=f"name one of: {choices}")
        names = {entry.name for entry in self.entries}
        raise UsageError(f"unknown {self.kind} {name!r}", fix=suggest(short, names))


class Catalog:
    """Everything the installed plugins register, by kind; each kind is collected on first use."""

    def __init__(self, plugins: Plugins) -> None:
        self.plugins = plugins

    def _shelf(self, kind: str, spec: type[S]) -> Registry[S]:
        found = self.plugins.collect(f"fedbench_register_{kind}s", spec)
        return Registry(kind, [Entry(item, plugin) for item, plugin in found])

    def check(self, scenario: Scenario) -> None:
        """Whether everything that ``scenario`` names is installed and takes the options it gives."""
        try:
            for what in scenario.parts:
                self._part(scenario, what)
            for model in scenario.rewards.models if scenario.rewards else ():
                if model.backbone:
                    self._found(model.backbone, "backbone")
            for metric in scenario.evaluation.metrics:
                self.metrics[metric]
        except UsageError as error:
            raise UsageError(f"scenario {scenario.title}: {error}") from error

    def make(self, scenario: Scenario, what: PartName) -> Any:
        """The scenario's backbone, data or partitioner, made with the options that it gives."""
        entry, options = self._part(scenario, what)
        return entry.create(options)

    def backbone(self, part: Part) -> Any:
        """A backbone beside the scenario's own, such as a client's."""
        entry, options = self._found(part, "backbone")
        return entry.create(options)

    def _part(self, scenario: Scenario, what: PartName) -> tuple[Entry[Any], Options]:
        return self._found(scenario.parts[what], what)

    def _found(self, part: Part, what: PartName) -> tuple[Entry[Any], Options]:
        shelves: dict[PartName, Registry[Any]] = {
            "backbone": self.backbones,
            "data": self.datasets,
            "partition": self.partitioners,
        }
        entry = shelves[what][part.name]
        return entry, validated(entry.options, part.options, f"{what} {part.name!r}")

    def scenario(self, name: str) -> Entry[ScenarioSpec]:
        """The installed scenario called ``name``, or the file of the user's own if it ends in ``.toml``."""
        if name.endswith(".toml"):
            return Entry(ScenarioSpec(Path(name)), FILE)
        return self.scenarios[name]

    @cached_property
    def methods(self) -> Registry[MethodSpec]:
        return self._shelf("method", MethodSpec)

    @cached_property
    def scenarios(self) -> Registry[ScenarioSpec]:
        return self._shelf("scenario", ScenarioSpec)

    @cached_property
    def backbones(self) -> Registry[BackboneSpec]:
        return self._shelf("backbone", BackboneSpec)

    @cached_property
    def datasets(self) -> Registry[DatasetSpec]:
        return self._shelf("dataset", DatasetSpec)

    @cached_property
    def partitioners(self) -> Registry[PartitionerSpec]:
        return self._shelf("partitioner", PartitionerSpec)

    @cached_property
    def metrics(self) -> Registry[MetricSpec]:
        return self._shelf("metric", MetricSpec)

    @cached_property
    def leaderboards(self) -> Registry[LeaderboardSpec]:
        return self._shelf("leaderboard", LeaderboardSpec)

    @cached_property
    def publishers(self) -> Registry[PublisherSpec]:
        return self._shelf("publisher", PublisherSpec)


@cache
def resolve(path: str, plugin: Plugin) -> Any:
    """The object at ``"module:attribute"``; :class:`FedbenchError` naming the plugin if it isn't there."""
    module, _, attribute = path.partition(":")
    try:
        return getattr(import_module(module), attribute)
    except Exception as error:
        raise FedbenchError(
            f"plugin {plugin.title} points at {path}, which can't be loaded",
            why=f"{type(error).__name__}: {error}",
            fix="FEDBENCH_DEBUG=1 shows where",
        ) from error
