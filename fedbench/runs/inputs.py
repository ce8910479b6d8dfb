"""The inputs of a scenario's runs: data, partition and backbone, loaded, checked and hashed."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from fedbench.data.checks import check_evaluation
from fedbench.data.content import check_held_out, data_sha256, image_digests, images_sha256
from fedbench.data.items import FederatedData
from fedbench.data.lengths import check_lengths
from fedbench.data.loading import load_data, load_partition
from fedbench.data.partition import Partition
from fedbench.evaluation.evaluator import make_metric
from fedbench.fingerprint import sha256_json
from fedbench.models.backbone import Backbone
from fedbench.models.content import backbone_sha256
from fedbench.models.language import LanguageModel
from fedbench.resolution import ResolvedScenario
from fedbench.source_code import package_sha256


@dataclass(frozen=True, kw_only=True)
class ContentHashes:
    """The engine's own hashes of what a run works on."""

    images: str
    """Of every image and of the code that opens them: cached features belong to it."""
    data: str
    """Of the whole data set."""
    partition: str
    """Of which client holds which units."""
    backbone: str
    """Of the weights and the tokenizer."""


@dataclass(frozen=True, kw_only=True)
class Inputs:
    """What a scenario names, loaded and checked; nothing is encoded yet."""

    resolved: ResolvedScenario
    """The scenario and the plugins of its parts."""
    data: FederatedData
    """The data set."""
    partition: Partition
    """Which units each client holds."""
    backbone: Backbone
    """The vision encoder and the LLM."""
    content: ContentHashes
    """What they hold, by hash."""


def load_inputs(resolved: ResolvedScenario, say: Callable[[str], None] = lambda line: None) -> Inputs:
    """Load everything that the scenario names, check it against its pins, and hash it.

    Metrics are made as well, so that what is wrong with one is known before anything is encoded. ``say`` gets
    what the data has to say of itself.
    """
    backbone: Backbone = resolved.backbone.make()
    resolved.backbone.check_pin(backbone.fingerprint)
    data = load_data(resolved)
    for note in data.notes:
        say(f"data {data.name!r}: {note}")
    check_lengths(data, LanguageModel(backbone), resolved.data.owner)
    check_evaluation(resolved.scenario, data, [entry.spec for entry in resolved.metrics], resolved.forms)
    for entry in resolved.metrics:
        make_metric(entry)
    partition = load_partition(resolved, data)
    digests = image_digests(data.images, resolved.data.owner)
    check_held_out(data, digests, resolved.data.owner)
    images = images_sha256(data.images, digests)
    return Inputs(
        resolved=resolved,
        data=data,
        partition=partition,
        backbone=backbone,
        content=ContentHashes(
            images=sha256_json([images, package_sha256(resolved.data.entry.plugin)]),
            data=data_sha256(data, images),
            partition=partition.fingerprint,
            backbone=backbone_sha256(backbone),
        ),
    )
