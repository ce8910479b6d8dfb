"""Resolved scenarios: a scenario with everything it names looked up, its options and pins checked."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

from fedbench.api.options import Options, locations, validated
from fedbench.api.scenario import Part, PartName, Scenario
from fedbench.api.specs import FormSpec, MetricSpec
from fedbench.errors import UsageError
from fedbench.fingerprint import sha256_json
from fedbench.plugins import Plugin
from fedbench.registry import Entry, Registry, load_object


@dataclass(frozen=True, kw_only=True)
class ResolvedPart:
    """A backbone, data set or partitioner that a scenario names. Nothing of it is loaded yet."""

    title: str
    """What errors call it: ``backbone``, ``data``, ``partition``, ``a reward model's backbone``."""
    part: Part
    """The part as the scenario has it, with its pin."""
    entry: Entry[Any]
    """The spec of that name and the plugin that provides it."""
    options: Options
    """The part's options, validated; paths of files of the user's own are absolute."""
    pin_fix: str = ""
    """What to do about content that is not the pinned one, where it isn't to install the package again."""

    def make(self) -> Any:
        """Call the plugin's factory with the options."""
        return self.entry.create(self.options)

    def suites(self) -> Mapping[str, str]:
        """The form of each suite that the data set says it will have, by key; empty if it says nothing."""
        if not self.entry.spec.suites:
            return {}
        suites = load_object(self.entry.spec.suites, self.entry.plugin)
        with self.answerable("can't say which suites it has"):
            return dict(suites(self.options))

    def answerable(self, what: str) -> AbstractContextManager[None]:
        """Blame what fails in the block on the part's plugin; ``what`` says what was asked of it."""
        return self.entry.answerable(f"{self.owner} {what}")

    @property
    def owner(self) -> str:
        """The part and its plugin, for errors: ``data 'x-rays' of plugin hospitals:hospitals 0.1.0``."""
        return f"{self.title} {self.entry.name!r} of plugin {self.entry.plugin.title}"

    @property
    def can_skip_broken(self) -> bool:
        """Whether the part takes the option ``skip_broken``, by which a data set leaves out broken rows."""
        return "skip_broken" in type(self.options).model_fields

    def skipping_broken(self) -> ResolvedPart:
        """The part with ``skip_broken = true``."""
        return replace(self, options=self.options.model_copy(update={"skip_broken": True}))

    def check_pin(self, fingerprint: str) -> None:
        """Refuse content whose ``fingerprint`` isn't the pinned one, if one is (:class:`UsageError`)."""
        self.part.check(self.title, fingerprint, self.pin_fix)


@dataclass(frozen=True, kw_only=True)
class ResolvedScenario:
    """A scenario whose every name and option is valid here; made by ``Catalog.resolve``."""

    scenario: Scenario
    """The scenario, with its changes."""
    backbone: ResolvedPart
    """The backbone of the projector or of the policy."""
    data: ResolvedPart
    """The data set; made, a ``FederatedData``."""
    partition: ResolvedPart
    """The partitioner; made, a function that deals the data to the clients."""
    metrics: tuple[Entry[MetricSpec], ...]
    """The metrics of its evaluation."""
    forms: Registry[FormSpec]
    """The forms that its data's suites may have."""
    reward_backbones: Mapping[str, ResolvedPart]
    """By their parts' JSON: the backbones that reward models are built on, beside the policy's."""

    @cached_property
    def key(self) -> str:
        """A hash that equal scenarios share whose files lie at the same places."""
        parts = (self.backbone, self.data, self.partition, *self.reward_backbones.values())
        options = [part.options.model_dump(mode="json") for part in parts]
        return sha256_json([self.scenario.fingerprint, str(self.scenario.folder.absolute()), options])

    @property
    def plugins(self) -> tuple[Plugin, ...]:
        """The plugins that provide the scenario's parts and metrics, and the forms that these score."""
        parts = (self.backbone, self.data, self.partition, *self.reward_backbones.values())
        forms = (self.forms[metric.spec.form] for metric in self.metrics)
        return tuple(entry.plugin for entry in (*(part.entry for part in parts), *self.metrics, *forms))

    def reward_backbone(self, part: Part) -> ResolvedPart:
        """Look up the backbone ``part`` of one of the scenario's reward models."""
        return self.reward_backbones[part.model_dump_json()]


def resolve_parts(
    scenario: Scenario, registries: Mapping[PartName, Registry[Any]]
) -> dict[PartName, ResolvedPart]:
    """Resolve the scenario's ``backbone``, ``data`` and ``partition``, each in the registry of its name."""
    return {
        name: ResolvedPart(
            title=name,
            part=part,
            entry=registries[name][part.name],
            options=_options(name, part, registries[name], scenario.folder),
            pin_fix=f"if --set is why, add --set {name}.sha256=none" if scenario.modified else "",
        )
        for name, part in scenario.parts.items()
    }


def resolve_reward_backbones(scenario: Scenario, backbones: Registry[Any]) -> dict[str, ResolvedPart]:
    """Resolve the backbones that the scenario's reward models are built on."""
    models = scenario.rewards.models if scenario.rewards else ()
    return {
        part.model_dump_json(): ResolvedPart(
            title="a reward model's backbone",
            part=part,
            entry=backbones[part.name],
            options=_options("backbone", part, backbones, scenario.folder),
        )
        for part in (model.backbone for model in models)
        if part
    }


def _options(kind: PartName, part: Part, registry: Registry[Any], folder: Path) -> Options:
    """Validate the options and the places of files that ``part`` gives; each has a section of its own."""
    model, what = registry[part.name].options, f"{kind} {part.name!r}"
    places = locations(model)
    for key in part.options:
        if key in places:
            raise UsageError(
                f"{what}: option {key!r} says where files lie",
                why="they may be moved, so that is no part of what is compared",
                fix=f"name it {kind}.files.{key} instead of {kind}.options.{key}",
            )
    for key in part.files:
        if key not in places:
            raise UsageError(
                f"{what} has no files {key!r}",
                why=f"its files are: {', '.join(places) or 'none'}",
                fix=f"other options stand in {kind}.options",
            )
    found = {key: located(place, folder) for key, place in part.files.items()}
    return validated(model, {**part.options, **found}, what)


def located(place: str, folder: Path) -> str:
    """Make the path of what lies at ``place`` absolute, from ``folder`` on; an id on the Hub stays."""
    path = Path(place).expanduser()
    own = path.is_absolute() or place.startswith(".") or (folder / path).exists()
    return str((folder / path).absolute()) if own else place
