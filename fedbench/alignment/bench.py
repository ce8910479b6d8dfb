"""The alignment track: what all runs of one of its scenarios share."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from fedbench.alignment.start import check_start, make_adapters, make_trainable, own_projector, read_start
from fedbench.alignment.task import AlignmentTask
from fedbench.api.aggregator import Shards
from fedbench.api.scenario import Scenario, Training
from fedbench.data.items import AlignmentData
from fedbench.data.label_flip import flipped
from fedbench.data.modality import Missing, missing_parts
from fedbench.data.tokens import TokenTable
from fedbench.errors import UsageError
from fedbench.evaluation.evaluator import Evaluator
from fedbench.federation.executors import AskedExecutor
from fedbench.models.language import LanguageModel
from fedbench.results.records import DataInfo
from fedbench.rng import torch_stream
from fedbench.runs.aggregation import AggregationRun
from fedbench.runs.inputs import ContentHashes, Inputs
from fedbench.runs.loading import Loaded, load
from fedbench.runs.protocol import Run


@dataclass(frozen=True)
class AlignmentBench:
    """Clients train a projector, adapters of the LLM, or both; the LLM and the vision tower are frozen.

    An :class:`~fedbench.runs.aggregation.AggregationProblem`.
    """

    scenario: Scenario
    """The scenario of all runs."""
    loaded: Loaded
    """Backbone, partition and image features."""
    data: AlignmentData
    """The scenario's data."""
    task: AlignmentTask
    """What is trained, and its loss."""
    evaluator: Evaluator
    """Measures projectors on the scenario's suites."""
    shards: Shards
    """Each client's training pairs."""
    missing: Missing | None = None
    """What the training pairs lack; None where the scenario lets nothing be missing."""
    baseline_params: Tensor | None = None
    """None: final answers are compared with no other projector's."""

    @property
    def training(self) -> Training:
        """The clients' optimiser and batches."""
        return self.scenario.training

    @property
    def label_flip_offset(self) -> int:
        """The number of pairs: their wrongly labelled copies follow them in the same order."""
        return len(self.data.pairs)

    def init(self, seed: int) -> Tensor:
        """The first parameters [P] under ``seed``."""
        return self.task.trainable.init(torch_stream(seed, "init"))

    def run(self, method: Any, seed: int, executor: AskedExecutor) -> Run:
        """Begin a run of an aggregator."""
        return AggregationRun(self, method, seed, executor)

    def save(self, models: Tensor, folder: Path) -> None:
        """Write models [M, P]: one into ``folder``, or each client's own into a folder there."""
        for client, model in enumerate(models):
            where = folder / f"client-{client}" if len(models) > 1 else folder
            self.task.trainable.saved(model, self.content.backbone).write(where)

    @property
    def content(self) -> ContentHashes:
        """The engine's own hashes of data, partition and backbone."""
        return self.loaded.content

    @property
    def info(self) -> DataInfo:
        """Data, backbone and partition as a record names them."""
        info = self.loaded.info(self.shards, self.task.space.size)
        if self.missing is None:
            return info
        images, texts = self.missing.counted(self.shards)
        return info.model_copy(update={"without_image": images, "without_text": texts})


def prepare(inputs: Inputs, device: torch.device, say: Callable[[str], None]) -> AlignmentBench:
    """Make the bench of a scenario; encode its images if the cache has not got their features."""
    check(inputs)
    loaded = load(inputs, device, say)
    scenario, data, backbone = loaded.scenario, loaded.data, loaded.backbone
    assert isinstance(data, AlignmentData)
    llm = LanguageModel(backbone)
    pairs = data.pairs
    if scenario.faults and scenario.faults.attack == "label-flip":
        pairs += flipped(pairs)
    missing = lost(inputs)
    if missing:
        pairs = missing.taken(pairs)
    trainable = make_trainable(scenario, backbone, loaded.content.backbone, loaded.features)
    task = AlignmentTask(llm, trainable, loaded.features, TokenTable.build(pairs, llm))
    evaluator = Evaluator(
        llm=llm,
        project=task.project,
        adapted=task.adapted if trainable.adapters else None,
        suites=data.suites,
        metrics=loaded.metrics,
        forms=loaded.forms,
        units=data.units.tolist(),
        partition=loaded.partition,
    )
    return AlignmentBench(
        scenario=scenario,
        loaded=loaded,
        data=data,
        task=task,
        evaluator=evaluator,
        shards=loaded.partition.shards(data),
        missing=missing,
    )


def lost(inputs: Inputs) -> Missing | None:
    """What each training pair lacks; None where the scenario lets nothing be missing."""
    modality, data = inputs.resolved.scenario.modality, inputs.data
    return missing_parts(modality, inputs.partition.shards(data), len(data.pairs)) if modality else None


def check(inputs: Inputs) -> None:
    """Refuse a scenario whose data has no answers, whose backbone can't be trained as it says, or that leaves
    a client nothing to train on."""
    name = inputs.resolved.scenario.name
    if not isinstance(inputs.data, AlignmentData):
        raise UsageError(f"scenario {name!r}: data {inputs.data.name!r} has no answers to learn")
    training = inputs.resolved.scenario.training
    adapters, start = make_adapters(training, inputs.backbone), read_start(inputs.resolved.scenario)
    if start:
        check_start(start, training, inputs.backbone, inputs.content.backbone, adapters)
    elif not training.trains_projector:
        own_projector(inputs.backbone)
    if (missing := lost(inputs)) and not training.trains_lora:
        for client, shard in enumerate(inputs.partition.shards(inputs.data)):
            if missing.images[shard].all():
                raise UsageError(
                    f"scenario {name!r}: client {client} has no image",
                    why=f"all of its {len(shard)} are missing, and only the projector is trained",
                    fix="lower modality.missing_images, or try another modality.seed",
                )
