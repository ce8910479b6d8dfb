"""The inputs of a scenario's runs: data, partition and backbone, loaded, checked and hashed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from fedbench.api.scenario import Scenario
from fedbench.api.specs import MetricSpec
from fedbench.data.content import data_sha256, images_sha256
from fedbench.data.items import FederatedData
from fedbench.data.loading import load_data, load_partition
from fedbench.data.partition import Partition
from fedbench.errors import UsageError
from fedbench.fingerprint import sha256_json
from fedbench.models.backbone import Backbone
from fedbench.models.content import backbone_sha256
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


def load_inputs(resolved: ResolvedScenario) -> Inputs:
    """Load everything that the scenario names, check it against its pins, and hash it."""
    backbone: Backbone = resolved.backbone.make()
    resolved.backbone.check_pin(backbone.fingerprint)
    data = load_data(resolved)
    _check_evaluation(resolved.scenario, data, [entry.spec for entry in resolved.metrics])
    partition = load_partition(resolved, data)
    images = images_sha256(data.images)
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
