"""What plugins register: frozen, light descriptions that point at the real thing by name.

``factory`` (and ``options``, where the model isn't at hand) have the form ``"package.module:attribute"``
and are resolved only when the thing is used, so listing what is installed never imports torch.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from fedbench.api.options import Options

Track = Literal["alignment", "preference"]


@dataclass(frozen=True, slots=True)
class Reduction:
    """A declared identity: this method under ``options`` is ``equals`` under ``equals_options``.

    ``tolerance`` is the largest absolute difference of any parameter; 0 means the same bits.
    """

    equals: str
    options: Mapping[str, Any] = field(default_factory=dict)
    equals_options: Mapping[str, Any] = field(default_factory=dict)
    tolerance: float = 0.0
    why: str = ""


@dataclass(frozen=True, slots=True)
class MethodSpec:
    """What ``--method NAME`` runs. ``factory(options)`` returns an aggregator or a reward fuser; ``track`` is
    the one whose scenarios take it, or any."""

    name: str
    track: Track | Literal["any"]
    factory: str
    summary: str
    options: type[Options] | str = Options
    paper: str = ""
    reductions: tuple[Reduction, ...] = ()


@dataclass(frozen=True, slots=True)
class ScenarioSpec:
    """A scenario file (TOML). Its stem is the scenario's name."""

    path: Path

    @property
    def name(self) -> str:
        return self.path.stem


@dataclass(frozen=True, slots=True)
class BackboneSpec:
    """A frozen vision encoder and LLM. ``factory(options)`` returns a ``models.Backbone``."""

    name: str
    factory: str
    summary: str
    options: type[Options] | str = Options
    licence: str = ""


@dataclass(frozen=True, slots=True)
class DatasetSpec:
    """Image–text data. ``factory(options)`` returns a ``data.items.AlignmentData`` or, for the preference
    track, a ``data.items.PreferenceData``."""

    name: str
    factory: str
    summary: str
    options: type[Options] | str = Options
    licence: str = ""


@dataclass(frozen=True, slots=True)
class PartitionerSpec:
    """How data is dealt to clients. ``factory(options)`` returns a callable, see ``data.partition``."""

    name: str
    factory: str
    summary: str
    options: type[Options] | str = Options


@dataclass(frozen=True, slots=True)
class MetricSpec:
    """``factory()`` returns an ``evaluate.Metric`` for items of one form (``data.items.Form``); ``values``
    are the names it computes, each as ``{value, se, n, unit, better}`` (``measures.Measure``)."""

    name: str
    factory: str
    summary: str
    form: str
    values: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class LeaderboardSpec:
    """A board definition file (TOML)."""

    path: Path

    @property
    def name(self) -> str:
        return self.path.stem


@dataclass(frozen=True, slots=True)
class PublisherSpec:
    """``factory(target)`` returns a publisher for ``--to SCHEME:TARGET``."""

    name: str
    factory: str
    summary: str


Spec = (
    MethodSpec
    | ScenarioSpec
    | BackboneSpec
    | DatasetSpec
    | PartitionerSpec
    | MetricSpec
    | LeaderboardSpec
    | PublisherSpec
)
