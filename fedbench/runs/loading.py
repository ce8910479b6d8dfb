"""What a run of either track begins with: its inputs, and the images as the vision tower sees them."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor

from fedbench.api.aggregator import Shards
from fedbench.api.scenario import Scenario
from fedbench.api.specs import FormSpec, MetricSpec
from fedbench.data.features import FeatureCache, cache_folder
from fedbench.data.items import FederatedData
from fedbench.data.partition import Partition
from fedbench.data.reading import read_image
from fedbench.models.backbone import Backbone, unchanged
from fedbench.registry import Entry, Registry
from fedbench.resolution import ResolvedPart
from fedbench.results.records import DataInfo
from fedbench.runs.inputs import ContentHashes, Inputs

if TYPE_CHECKING:
    from PIL.Image import Image

ENCODE_BATCH = 256
"""Most images that are encoded at a time."""

ENCODE_PIXELS = 2**26
"""Pixels after which a batch is closed: photos of a camera take 36 MB each."""

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
    forms: Registry[FormSpec]
    """The forms that suites may have."""
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
    resolved = inputs.resolved
    inputs.backbone.freeze(device)
    features = encoded(
        inputs.backbone,
        inputs.data,
        inputs.content.images,
        owners=(resolved.backbone, resolved.data),
        device=device,
        say=say,
    )
    return Loaded(
        scenario=resolved.scenario,
        data=inputs.data,
        partition=inputs.partition,
        backbone=inputs.backbone,
        metrics=resolved.metrics,
        forms=resolved.forms,
        content=inputs.content,
        features=features,
    )


def encoded(
    backbone: Backbone,
    data: FederatedData,
    images: str,
    *,
    owners: tuple[ResolvedPart, ResolvedPart],
    device: torch.device,
    say: Callable[[str], None],
) -> Tensor:
    """The vision tower's features of every image, [images, T, F]; from the cache if they are there.

    ``images`` is the hash of all pixels. ``owners`` are the scenario's parts that provide backbone and data,
    to blame if they fail. The vision tower is a function, so two images are encoded again to see that the
    cached features are still its own. What was encoded is kept if a later image can't be read.
    """
    cache, key = FeatureCache.default(), (backbone.encoder, images)

    def encode() -> list[np.ndarray]:
        parts = cache.kept(*key)
        begin = sum(map(len, parts))
        left = f", of which {begin} are done" if begin else ""
        place = f"(once; cached in {cache_folder()})"
        say(f"encoding {len(data.images)} images with {backbone.name} {place}{left}")
        for batch in batches(data, owners[1], begin, backbone.shrink):
            with owners[0].answerable("can't encode images"):
                part = backbone.encode(batch).numpy()
            if not parts:
                cache.check_space(2 * part.nbytes * -(-len(data.images) // len(part)))
            parts.append(cache.keep(*key, len(parts), part))
        return parts

    stored = cache.get(*key, encode, say)
    if not _are_of(backbone, data, owners, stored):
        say(f"the cached features are not what {backbone.name} gives now; encoding again")
        cache.forget(*key)
        stored = cache.get(*key, encode, say)
    return torch.from_numpy(stored).to(device)


def _are_of(
    backbone: Backbone, data: FederatedData, owners: tuple[ResolvedPart, ResolvedPart], stored: np.ndarray
) -> bool:
    """Whether two images' stored features are what the encoder gives, rounding aside."""
    numbers = sorted({0, len(data.images) - 1})
    shown = [read_image(data.images, number, owners[1].owner) for number in numbers]
    with owners[0].answerable("can't encode images"):
        fresh = backbone.encode(shown).numpy()
    scale = float(np.abs(fresh).max())
    return fresh.shape == stored[numbers].shape and np.allclose(
        fresh, stored[numbers], rtol=0, atol=SAME_FEATURES * scale
    )


def batches(
    data: FederatedData, owner: ResolvedPart, begin: int, shrink: Callable[[Image], Image] = unchanged
) -> Iterator[list[Image]]:
    """Open the images from ``begin`` on, as RGB and shrunk, in batches of at most :data:`ENCODE_BATCH` images
    and about :data:`ENCODE_PIXELS` pixels. One that can't be read is named."""
    batch: list[Image] = []
    pixels = 0
    for number in range(begin, len(data.images)):
        image = read_image(data.images, number, owner.owner)
        batch.append(shrink(image))
        pixels += batch[-1].width * batch[-1].height
        if len(batch) == ENCODE_BATCH or pixels >= ENCODE_PIXELS:
            yield batch
            batch, pixels = [], 0
    if batch:
        yield batch
