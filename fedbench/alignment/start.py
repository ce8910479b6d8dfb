"""What is trained, and from where: made of a scenario's training, its backbone, and a model to begin with."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

from torch import Tensor

from fedbench.alignment.trainable import Trainable
from fedbench.api.scenario import Scenario, Training
from fedbench.errors import UsageError
from fedbench.models.backbone import Backbone
from fedbench.models.connectors import Connector, make_connector
from fedbench.models.functional import Functional
from fedbench.models.lora import LoraAdapters
from fedbench.models.projector import Projector
from fedbench.models.saved import SavedModel, folder_sha256
from fedbench.params import ParamSpace


def make_trainable(scenario: Scenario, backbone: Backbone, sha256: str, features: Tensor) -> Trainable:
    """Make what ``scenario`` says is trained between image ``features`` [images, T, F] and the LLM of
    ``backbone``, whose hash is ``sha256``.

    A projector that is not trained is the start's or else the backbone's own; :class:`UsageError` if neither
    has one, or for a start that does not fit. One that is trained beside adapters begins as the backbone's,
    if that has one: pre-training a projector, alone, begins anew.
    """
    training, start = scenario.training, read_start(scenario)
    _, tokens, width = features.shape
    adapters = make_adapters(training, backbone)
    if start:
        check_start(start, training, backbone, sha256, adapters)
    goes_on = training.connector in ("mlp2", "backbone") and backbone.projector is not None
    if (
        training.trains_lora
        and not (start and start.projector)
        and (goes_on or not training.trains_projector)
    ):
        own = own_projector(backbone).to(features)
        connector: Connector = (
            Projector.holding(own, width, backbone.width)
            if backbone.connector is None
            else Functional(backbone.connector)
        )
        if training.trains_projector:
            trainable = Trainable(connector, adapters=adapters, start=connector.space.views(own))
        else:
            trainable = Trainable(connector, frozen=own, adapters=adapters)
    else:
        connector = make_connector(training.connector, backbone, tokens, width, training.hidden)
        trainable = Trainable(connector, adapters=adapters)
    if not start:
        return trainable
    placed = {**start.projector, **start.adapters}
    _check_shapes(placed, {**connector.space.shapes, **(adapters.space.shapes if adapters else {})})
    placed = {name: value.to(features) for name, value in placed.items()}
    if not training.trains_projector and start.projector:
        frozen = connector.space.flatten({name: placed[name] for name in connector.space.shapes})
        trainable = replace(trainable, frozen=frozen)
    begun = {name: placed[name] for name in trainable.space.shapes if name in placed}
    return replace(trainable, start={**trainable.start, **begun})


def make_adapters(training: Training, backbone: Backbone) -> LoraAdapters | None:
    """Make the adapters that ``training`` asks for; :class:`UsageError` if the LLM can't take them."""
    return LoraAdapters.of(backbone.llm, training.lora) if training.lora else None


def own_projector(backbone: Backbone) -> Tensor:
    """The projector of a backbone that can see; :class:`UsageError` if it has none."""
    if backbone.projector is None:
        raise UsageError(
            "training.trainable is 'lora'",
            why=f"backbone {backbone.name!r} has no projector, so its LLM would see nothing",
            fix="use a backbone that can see, a start that has one (--from), or trainable = 'projector+lora'",
        )
    return backbone.projector


def read_start(scenario: Scenario) -> SavedModel | None:
    """The model that ``scenario`` begins with, if it names one; :class:`UsageError` for other content."""
    if scenario.start is None:
        return None
    folder = scenario.folder / Path(scenario.start.files["path"]).expanduser()
    model = SavedModel.read(folder)
    if (found := folder_sha256(folder)) != scenario.start.sha256:
        raise UsageError(
            "the start is not the model that the scenario names",
            where=folder,
            why=f"its fingerprint is {found[:12]}…, expected {scenario.start.sha256[:12]}…",
            fix="name the folder again with --from",
        )
    return model


def check_start(
    start: SavedModel, training: Training, backbone: Backbone, sha256: str, adapters: LoraAdapters | None
) -> None:
    """Refuse a start of another base, or whose adapters are not those that are trained."""
    if start.backbone and start.backbone != sha256:
        raise UsageError(
            "the start belongs to another base",
            why=f"it was trained on {start.backbone[:12]}…, backbone {backbone.name!r} is {sha256[:12]}…",
        )
    if start.adapters and adapters is None:
        raise UsageError(
            "the start has adapters, but the scenario trains the projector only",
            fix="use trainable = 'lora' or 'projector+lora'",
        )
    if start.adapters and adapters and (start.rank, start.alpha) != (adapters.rank, adapters.alpha):
        raise UsageError(
            f"the start's adapters have rank {start.rank} and alpha {start.alpha:g}",
            why=f"the scenario's have {adapters.rank} and {adapters.alpha:g}",
            fix="give training.lora the same",
        )
    if not training.trains_projector and not start.projector:
        own_projector(backbone)


def _check_shapes(placed: Mapping[str, Tensor], shapes: Mapping[str, tuple[int, ...]]) -> None:
    """Refuse tensors that have no place, or another shape than it."""
    space = ParamSpace(dict(shapes))
    for name, value in placed.items():
        if name not in space.shapes:
            raise UsageError(f"the start has a tensor {name!r}, for which there is no place")
        if tuple(value.shape) != space.shapes[name]:
            raise UsageError(
                f"the start's {name} is {list(value.shape)}, the scenario's {list(space.shapes[name])}"
            )
