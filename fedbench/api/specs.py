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
"""What travels in a scenario: parameters (alignment) or rewards (preference)."""


@dataclass(frozen=True, slots=True)
class Reduction:
    """A declared identity: this method under ``options`` is ``equals`` under ``equals_options``.

    :class:`fedbench.testing.AggregatorContract` runs both and compares them.

    >>> from fedbench import Reduction
    >>> Reduction(equals="fedavg", options={"mu": 0.0}, why="the proximal gradient vanishes").tolerance
    0.0
    """

    equals: str
    """Name of the method that this one becomes."""
    options: Mapping[str, Any] = field(default_factory=dict)
    """Options of this method under which it does; the others at their defaults."""
    equals_options: Mapping[str, Any] = field(default_factory=dict)
    """Options of the other method."""
    tolerance: float = 0.0
    """Largest absolute difference of any parameter; 0: the same bits."""
    why: str = ""
    """The reason, in a line."""


@dataclass(frozen=True, slots=True)
class MethodSpec:
    """What ``fedbench run --method NAME`` runs.

    >>> from fedbench import MethodSpec, Options
    >>> class MyOptions(Options):
    ...     mu: float = 0.01
    >>> spec = MethodSpec(
    ...     name="my-method",
    ...     track="alignment",
    ...     factory="my_method.method:MyMethod",
    ...     summary="FedAvg with a proximal term",
    ...     options=MyOptions,
    ... )
    >>> spec.options().mu
    0.01
    """

    name: str
    """Letters, digits, ``-``, ``_`` and ``.``."""
    track: Track | Literal["any"]
    """The track whose scenarios take it."""
    factory: str
    """``"module:attribute"`` of what is called with the options and returns an ``Aggregator`` or, on the
    preference track, a ``RewardFuser``."""
    summary: str
    """What it does, in a line, for ``fedbench list``."""
    options: type[Options] | str = Options
    """The model of its options, or ``"module:attribute"`` of it."""
    paper: str = ""
    """Its source: authors, year, arXiv number."""
    reductions: tuple[Reduction, ...] = ()
    """Methods that it becomes under certain options."""


@dataclass(frozen=True, slots=True)
class ScenarioSpec:
    """A scenario file (TOML), for ``--scenario NAME``.

    >>> from pathlib import Path
    >>> from fedbench import ScenarioSpec
    >>> ScenarioSpec(Path("my_package/scenarios/four-hospitals.toml")).name
    'four-hospitals'
    """

    path: Path
    """The file; it must exist when the scenario is used."""

    @property
    def name(self) -> str:
        """The file's name without ``.toml``, which the file repeats as its ``name``."""
        return self.path.stem


@dataclass(frozen=True, slots=True)
class BackboneSpec:
    """A frozen vision encoder and LLM that a scenario names under ``[backbone]``.

    >>> from fedbench import BackboneSpec
    >>> spec = BackboneSpec(
    ...     name="clip-vicuna",
    ...     factory="my_package.backbone:clip_vicuna",
    ...     summary="CLIP ViT-L/14 and Vicuna 7B",
    ...     licence="MIT, Llama 2",
    ... )
    """

    name: str
    """Letters, digits, ``-``, ``_`` and ``.``."""
    factory: str
    """``"module:attribute"`` of what is called with the options and returns a ``Backbone``."""
    summary: str
    """What it is, in a line."""
    options: type[Options] | str = Options
    """The model of its options, or ``"module:attribute"`` of it."""
    licence: str = ""
    """Under what the weights may be used."""


@dataclass(frozen=True, slots=True)
class DatasetSpec:
    """Image–text data that a scenario names under ``[data]``.

    >>> from fedbench import DatasetSpec
    >>> spec = DatasetSpec(
    ...     name="x-rays",
    ...     factory="my_package.dataset:x_rays",
    ...     summary="chest X-rays of four hospitals, with questions",
    ...     licence="CC-BY-4.0",
    ... )
    """

    name: str
    """Letters, digits, ``-``, ``_`` and ``.``."""
    factory: str
    """``"module:attribute"`` of what is called with the options and returns an ``AlignmentData`` or, for the
    preference track, a ``PreferenceData``."""
    summary: str
    """What it holds, in a line."""
    options: type[Options] | str = Options
    """The model of its options, or ``"module:attribute"`` of it."""
    licence: str = ""
    """Under what the data may be used."""
    suites: str = ""
    """``"module:attribute"`` of what is called with the options and returns the form of each suite that the
    data will have, by ``split/name``, the most telling first. What a scenario's evaluation leaves out follows
    from it; without it a scenario has to say everything."""


@dataclass(frozen=True, slots=True)
class PartitionerSpec:
    """A way to deal data to clients, which a scenario names under ``[partition]``.

    >>> from fedbench import PartitionerSpec
    >>> spec = PartitionerSpec(
    ...     name="by-hospital",
    ...     factory="my_package.partition:by_hospital",
    ...     summary="a client for each hospital",
    ... )
    """

    name: str
    """Letters, digits, ``-``, ``_`` and ``.``."""
    factory: str
    """``"module:attribute"`` of what is called with the options and returns a ``Partitioner``."""
    summary: str
    """How it deals, in a line."""
    options: type[Options] | str = Options
    """The model of its options, or ``"module:attribute"`` of it."""


@dataclass(frozen=True, slots=True)
class FormSpec:
    """A form of evaluation items, which a data set's suites name: how they are asked, and what metrics see.

    >>> from fedbench import FormSpec
    >>> spec = FormSpec(
    ...     name="graded",
    ...     factory="my_package.form:Graded",
    ...     summary="a grade between two ends, by the likelihood of each",
    ...     columns={"grade": "the expected grade, from 0", "true": "the right one"},
    ... )
    """

    name: str
    """Letters, digits, ``-``, ``_`` and ``.``."""
    factory: str
    """``"module:attribute"`` of what is called without arguments and returns a ``Form``."""
    summary: str
    """How its items are asked and scored, in a line."""
    columns: Mapping[str, str]
    """What its metrics receive beside ``group``, one entry for each item: each column's name and meaning."""
    metric: str = ""
    """Name of the metric that scores it where a scenario names none; the only one of the form when empty."""


@dataclass(frozen=True, slots=True)
class MetricSpec:
    """A metric over the evaluation items of one form, which a scenario names under ``[evaluation]``.

    >>> from fedbench import MetricSpec
    >>> spec = MetricSpec(
    ...     name="answer-length",
    ...     factory="my_package.metric:AnswerLength",
    ...     summary="words of a generated answer",
    ...     form="generate",
    ...     values=("words",),
    ... )
    """

    name: str
    """Letters, digits, ``-``, ``_`` and ``.``."""
    factory: str
    """``"module:attribute"`` of what is called without arguments and returns a ``Metric``."""
    summary: str
    """What it measures, in a line."""
    form: str
    """Name of the form whose items it scores; it decides which columns the metric receives."""
    values: tuple[str, ...]
    """Names of the measures that it returns: ``accuracy`` becomes ``split/suite/accuracy``."""


@dataclass(frozen=True, slots=True)
class LeaderboardSpec:
    """A board's definition (TOML), for ``fedbench leaderboard``.

    >>> from pathlib import Path
    >>> from fedbench import LeaderboardSpec
    >>> LeaderboardSpec(Path("my_package/boards/hospitals.toml")).name
    'hospitals'
    """

    path: Path
    """The file."""

    @property
    def name(self) -> str:
        """The file's name without ``.toml``."""
        return self.path.stem


@dataclass(frozen=True, slots=True)
class PublisherSpec:
    """A kind of target of ``fedbench leaderboard publish --to NAME:TARGET``.

    >>> from fedbench import PublisherSpec
    >>> spec = PublisherSpec(
    ...     name="folder", factory="my_package.publish:FolderPublisher", summary="a folder: folder:PATH"
    ... )
    """

    name: str
    """The scheme, what stands before the colon of ``--to``."""
    factory: str
    """``"module:attribute"`` of what is called with the target, a text, and returns a ``Publisher``."""
    summary: str
    """What the target is, in a line."""


Spec = (
    MethodSpec
    | ScenarioSpec
    | BackboneSpec
    | DatasetSpec
    | PartitionerSpec
    | FormSpec
    | MetricSpec
    | LeaderboardSpec
    | PublisherSpec
)
"""Whatever a plugin registers."""
