"""Checks of what every record notes besides its measures: costs, times, the parts of its scenario."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime
from functools import reduce
from math import isclose

from fedbench.api.metrics import Costs
from fedbench.api.scenario import Scenario
from fedbench.data.modality import client_modalities
from fedbench.results.records import Record

CLOCK_TOLERANCE = 2.0
"""Seconds by which the difference of two moments may be off, each written in whole seconds."""


def totals(record: Record, scenario: Scenario) -> Iterator[str]:
    """Refuses costs that are not the sum of the rounds' costs, and negative ones."""
    total = reduce(Costs.__add__, (entry.costs for entry in record.rounds), Costs())
    for name, value in vars(record.costs).items():
        if not isclose(value, getattr(total, name), rel_tol=1e-12):
            yield f"costs.{name} is {value:g}, its rounds add up to {getattr(total, name):g}"
    if any(value < 0 for entry in record.rounds for value in vars(entry.costs).values()):
        yield "it has negative costs"


def clock(record: Record, scenario: Scenario) -> Iterator[str]:
    """Refuses seconds that do not fit between start and finish, or that are fewer than the rounds took."""
    # Round 0 does not count: reward models are fitted once for all runs, perhaps in another run.
    costs = [entry.costs for entry in record.rounds[1:]]
    spent = sum(cost.client_seconds + cost.server_seconds + cost.evaluation_seconds for cost in costs)
    try:
        began, ended = (datetime.fromisoformat(moment) for moment in (record.started, record.finished))
        elapsed = (ended - began).total_seconds()
    except (ValueError, TypeError) as error:
        yield f"started or finished is not a moment: {error}"
        return
    if record.wall_seconds < spent - 1e-6:
        yield f"wall_seconds is {record.wall_seconds:.1f}, its rounds alone took {spent:.1f}"
    if record.wall_seconds > elapsed + CLOCK_TOLERANCE:
        yield f"wall_seconds is {record.wall_seconds:.1f}, between start and finish lie {elapsed:.0f}"


def parts(record: Record, scenario: Scenario) -> Iterator[str]:
    """Refuses other data, another backbone, partition, number of clients or primary measure."""
    data = record.data
    names = {"data": data.name, "backbone": data.backbone, "partition": data.partition}
    fingerprints = {"data": data.fingerprint, "backbone": data.backbone_fingerprint}
    for kind, part in scenario.parts.items():
        if names[kind] != part.name:
            yield f"its {kind} is {names[kind]!r}, the scenario's {part.name!r}"
        if part.sha256 and fingerprints.get(kind, part.sha256) != part.sha256:
            yield f"its {kind} is not the one that the scenario pins"
    if len(data.client_examples) != scenario.federation.clients or min(data.client_examples) < 0:
        yield f"its clients are not the scenario's {scenario.federation.clients}"
    yield from _missing(record, scenario)
    if record.primary != scenario.evaluation.primary:
        yield f"its primary measure is not the scenario's {scenario.evaluation.primary}"


def _missing(record: Record, scenario: Scenario) -> Iterator[str]:
    """Refuses clients that lack other images or texts than the scenario takes from them."""
    data, modality = record.data, scenario.modality
    if modality is None:
        if data.without_image is not None or data.without_text is not None:
            yield "its clients lack images or texts, but its scenario lets nothing be missing"
        return
    sizes, images, texts = data.client_examples, data.without_image or [], data.without_text or []
    if not len(images) == len(texts) == len(sizes):
        yield "it does not say what each client lacks"
        return
    if modality.counts:
        kinds = list(zip(client_modalities(modality, scenario.federation.clients), sizes, strict=True))
        for part, lost, of in (("image", images, "text_only"), ("text", texts, "image_only")):
            if lost != [size if kind == of else 0 for kind, size in kinds]:
                yield f"its clients' examples without {part} are not what its scenario gives"
        return
    for part, lost, rate in (
        ("image", images, modality.missing_images),
        ("text", texts, modality.missing_texts),
    ):
        most = sizes if rate else [0] * len(sizes)
        if not all(0 <= count <= held for count, held in zip(lost, most, strict=True)):
            yield f"its clients' examples without {part} are not what its scenario gives"
