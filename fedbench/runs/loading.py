"""What a run of either track begins with: backbone, data, partition, the images as the tower sees them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from fedbench.api.aggregator import Shards
from fedbench.api.scenario import Scenario
from fedbench.api.specs import MetricSpec
from fedbench.data.features import FeatureCache, cache_folder
from fedbench.data.items import FederatedData
from fedbench.data.loading import load_data, load_partition
from fedbench.data.partition import Partition
from fedbench.errors import UsageError
from fedbench.models.backbone import Backbone
from fedbench.registry import Entry
from fedbench.resolution import ResolvedScenario
from fedbench.results.records import DataInfo

ENCODE_BATCH = 256


@dataclass(frozen=True)
class Loaded:
    """What a scenario names, loaded and checked."""

    scenario: Scenario
    """The scenario."""
    data: FederatedData
    """The data set."""
    partition: Partition
    """Which units each client holds."""
    backbone: Backbone
    """The frozen vision encoder and LLM."""
    metrics: Sequence[Entry[MetricSpec]]
    """The metrics of the scenario's evaluation."""
    features: Tensor
    """[images, T, F]: the vision tower's, of every image view."""

    def info(self, shards: Shards, parameters: int) -> DataInfo:
        """Describe what is federated: content hashes, and examples of each client."""
        return DataInfo(
            name=self.data.name,
            fingerprint=self.data.fingerprint,
            backbone=self.backbone.name,
            backbone_fingerprint=self.backbone.fingerprint,
            partition=self.scenario.partition.name,
            partition_fingerprint=self.partition.fingerprint,
            client_examples=[len(shard) for shard in shards],
            parameters=parameters,
        )


def load(resolved: ResolvedScenario, device: torch.device, say: Callable[[str], None]) -> Loaded:
    """Load and check everything the scenario names; encode its images if the cache has not got them."""
    backbone: Backbone = resolved.backbone.make()
    resolved.backbone.check_pin(backbone.fingerprint)
    data = load_data(resolved)
    _check_evaluation(resolved.scenario, data, [entry.spec for entry in resolved.metrics])
    partition = load_partition(resolved, data)
    backbone.freeze(device)
    return Loaded(
        scenario=resolved.scenario,
        data=data,
        partition=partition,
        backbone=backbone,
        metrics=resolved.metrics,
        features=encoded(backbone, data, device, say),
    )


def encoded(
    backbone: Backbone, data: FederatedData, device: torch.device, say: Callable[[str], None]
) -> Tensor:
    """What the backbone's vision tower says of every image, [images, T, F]; from the cache if it is there."""

    def encode() -> np.ndarray:
        say(f"encoding {len(data.images)} images with {backbone.name} (once; cached in {cache_folder()})")
        starts = range(0, len(data.images), ENCODE_BATCH)
        parts = [
            backbone.encode([data.images[i] for i in range(s, min(s + ENCODE_BATCH, len(data.images)))])
            for s in starts
        ]
        return torch.cat(parts).numpy()

    stored = FeatureCache.default().get(backbone.encoder, data.image_fingerprint, encode)
    return torch.from_numpy(stored).to(device)


def _check_evaluation(scenario: Scenario, data: FederatedData, metrics: Sequence[MetricSpec]) -> None:
    """Every suite is in the data and has a metric, and the primary measure is one of theirs."""
    spec = scenario.evaluation
    values: dict[str, list[str]] = {}
    for metric in metrics:
        values.setdefault(metric.form, []).extend(metric.values)
    for key in (*spec.each_round, *spec.final):
        if key not in data.suites:
            raise UsageError(
                f"scenario {scenario.name!r} evaluates {key!r}, which data {data.name!r} does not have",
                fix=f"there are: {', '.join(sorted(data.suites))}",
            )
        if data.suites[key].form not in values:
            raise UsageError(
                f"scenario {scenario.name!r} evaluates {key!r}, but none of its metrics is for the form"
                f" {data.suites[key].form!r}"
            )
    suite, _, value = spec.primary.rpartition("/")
    known = values[data.suites[suite].form]
    if value not in known:
        raise UsageError(
            f"scenario {scenario.name!r}: there is no primary metric {spec.primary!r}",
            fix=f"{suite} has: {', '.join(known)}",
        )
