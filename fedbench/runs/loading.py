"""What a run of either track begins with: its inputs, and the images as the vision tower sees them."""

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
from fedbench.data.partition import Partition
from fedbench.models.backbone import Backbone
from fedbench.registry import Entry
from fedbench.results.records import DataInfo
from fedbench.runs.inputs import ContentHashes, Inputs

ENCODE_BATCH = 256
SAME_FEATURES = 1e-3
"""Features further apart than this, as a share of the largest, are another encoder's."""


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
    content: ContentHashes
    """The engine's own hashes of data, partition and backbone."""
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


def load(inputs: Inputs, device: torch.device, say: Callable[[str], None]) -> Loaded:
    """Freeze the backbone on ``device``; encode the images if the cache has not got their features."""
    inputs.backbone.freeze(device)
    return Loaded(
        scenario=inputs.resolved.scenario,
        data=inputs.data,
        partition=inputs.partition,
        backbone=inputs.backbone,
        metrics=inputs.resolved.metrics,
        content=inputs.content,
        features=encoded(inputs.backbone, inputs.data, inputs.content.images, device=device, say=say),
    )


def encoded(
    backbone: Backbone,
    data: FederatedData,
    images: str,
    *,
    device: torch.device,
    say: Callable[[str], None],
) -> Tensor:
    """The vision tower's features of every image, [images, T, F]; from the cache if they are there.

    ``images`` is the hash of all pixels. The vision tower is a function, so two images are encoded again to
    see that the cached features are still its own.
    """

    def encode() -> np.ndarray:
        say(f"encoding {len(data.images)} images with {backbone.name} (once; cached in {cache_folder()})")
        starts = range(0, len(data.images), ENCODE_BATCH)
        parts = [
            backbone.encode([data.images[i] for i in range(s, min(s + ENCODE_BATCH, len(data.images)))])
            for s in starts
        ]
        return torch.cat(parts).numpy()

    cache = FeatureCache.default()
    stored = cache.get(backbone.encoder, images, encode)
    if not _are_of(backbone, data, stored):
        say(f"the cached features are not what {backbone.name} gives now; encoding again")
        cache.forget(backbone.encoder, images)
        stored = cache.get(backbone.encoder, images, encode)
    return torch.from_numpy(stored).to(device)


def _are_of(backbone: Backbone, data: FederatedData, stored: np.ndarray) -> bool:
    """Whether two images' stored features are what the encoder gives, rounding aside."""
    numbers = sorted({0, len(data.images) - 1})
    fresh = backbone.encode([data.images[number] for number in numbers]).numpy()
    scale = float(np.abs(fresh).max())
    return fresh.shape == stored[numbers].shape and np.allclose(
        fresh, stored[numbers], rtol=0, atol=SAME_FEATURES * scale
    )
