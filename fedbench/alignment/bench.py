"""The alignment track: what all runs of one of its scenarios share."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from fedbench.alignment.task import AlignmentTask
from fedbench.api.aggregator import Shards
from fedbench.api.scenario import Scenario, Training
from fedbench.catalog import Catalog
from fedbench.data.items import AlignmentData
from fedbench.data.label_flip import flipped
from fedbench.data.tokens import TokenTable
from fedbench.errors import UsageError
from fedbench.evaluation.evaluator import Evaluator
from fedbench.federation.executors import ExecutorName
from fedbench.models.language import LanguageModel
from fedbench.models.projector import Projector
from fedbench.results.records import DataInfo
from fedbench.rng import torch_stream
from fedbench.runs.aggregation import AggregationRun
from fedbench.runs.loading import Loaded, load
from fedbench.runs.protocol import Run


@dataclass(frozen=True)
class AlignmentBench:
    """Clients learn a projector; the LLM and the vision tower stay as they are."""

    scenario: Scenario
    loaded: Loaded
    data: AlignmentData
    task: AlignmentTask
    evaluator: Evaluator
    shards: Shards
    baseline_params: Tensor | None = None

    @property
    def training(self) -> Training:
        return self.scenario.training

    @property
    def label_flip_offset(self) -> int:
        return len(self.data.pairs)

    def init(self, seed: int) -> Tensor:
        return self.task.projector.init(torch_stream(seed, "init"))

    def run(self, method: Any, seed: int, executor: ExecutorName) -> Run:
        return AggregationRun(self, method, seed, executor)

    @property
    def info(self) -> DataInfo:
        return self.loaded.info(self.shards, self.task.space.size)


def prepare(
    scenario: Scenario, catalog: Catalog, device: torch.device, say: Callable[[str], None]
) -> AlignmentBench:
    """Load and check everything the scenario names; encode its images if the cache has not got them."""
    loaded = load(scenario, catalog, device, say)
    data, backbone = loaded.data, loaded.backbone
    if not isinstance(data, AlignmentData):
        raise UsageError(f"scenario {scenario.name!r}: data {data.name!r} has no answers to learn")
    llm = LanguageModel(backbone)
    projector = Projector(loaded.features.shape[-1], scenario.training.hidden, backbone.width)
    pairs = data.pairs
    if scenario.faults and scenario.faults.attack == "label-flip":
        pairs += flipped(pairs)
    task = AlignmentTask(llm, projector, loaded.features, TokenTable.build(pairs, llm))
    units = data.units.tolist()
    evaluator = Evaluator(llm, task.project, data.suites, loaded.metrics, units, loaded.partition)
    return AlignmentBench(scenario, loaded, data, task, evaluator, loaded.partition.shards(data))
