"""The clients on a scenario's page: what they hold, how they differ, a few of their images."""

from __future__ import annotations

import json
from base64 import b64decode, b64encode
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from io import BytesIO
from typing import Any

import numpy as np
from PIL import Image

from fedbench.api.scenario import Scenario
from fedbench.catalog import Catalog
from fedbench.data.heterogeneity import Heterogeneity, default_label, heterogeneity
from fedbench.data.items import FederatedData
from fedbench.data.loading import load_data, load_partition
from fedbench.data.partition import Partition
from fedbench.leaderboard.site.kept import KeptParts
from fedbench.resolution import ResolvedScenario
from fedbench.source_code import package_sha256

IMAGES, CLIENTS, SIDE, SPACE = 8, 6, 64, 4
"""Images of a client, clients, the images' side and the space between them (pixels)."""


@dataclass(frozen=True)
class Sample:
    """A strip of a client's training images, as WebP, and what it shows."""

    client: int
    text: str
    image: bytes
    width: int
    height: int = SIDE


@dataclass(frozen=True)
class Clients:
    """What the clients of a scenario hold; ``licence`` is the images'."""

    held: Heterogeneity
    samples: tuple[Sample, ...]
    licence: str


@dataclass
class ClientLoader:
    """Loads scenarios' clients, each data set once: many scenarios deal the same one.

    Where a scenario pins its data and its partition, its clients are taken from ``kept`` without loading
    either.
    """

    catalog: Catalog
    """What is installed."""
    kept: KeptParts
    """What was loaded before."""
    loaded: dict[str, FederatedData] = field(default_factory=dict)
    """The data sets loaded so far, by their parts' JSON."""

    def __call__(self, scenario: Scenario) -> Clients:
        """Load what the scenario's clients hold, and a few of their images."""
        resolved = self.catalog.resolve(scenario)
        parts = (resolved.data, resolved.partition)
        if all(part.part.sha256 for part in parts):
            code = [package_sha256(part.entry.plugin) for part in parts]
            text = self.kept.text(
                ["clients", resolved.key, code], lambda: _text(*self._loaded(scenario, resolved))
            )
            held, samples = _read(text)
        else:
            held, samples = self._loaded(scenario, resolved)
        return Clients(held, samples, resolved.data.entry.spec.licence)

    def _loaded(
        self, scenario: Scenario, resolved: ResolvedScenario
    ) -> tuple[Heterogeneity, tuple[Sample, ...]]:
        which = scenario.data.model_dump_json()
        if which not in self.loaded:
            self.loaded[which] = load_data(resolved)
        data = self.loaded[which]
        partition = load_partition(resolved, data)
        held = heterogeneity(data, partition, default_label(scenario, data))
        strips = [_sample(data, partition, held.label, k) for k in range(min(CLIENTS, len(held.units)))]
        return held, tuple(strips)


def _text(held: Heterogeneity, samples: Sequence[Sample]) -> str:
    """Write clients as JSON; the inverse of :func:`_read`."""
    plain = {
        name: value.tolist() if isinstance(value, np.ndarray) else value
        for name, value in asdict(held).items()
    }
    strips = [asdict(sample) | {"image": b64encode(sample.image).decode()} for sample in samples]
    return json.dumps([plain, strips])


def _read(text: str) -> tuple[Heterogeneity, tuple[Sample, ...]]:
    held, samples = json.loads(text)
    counts = {name: np.array(held[name], np.int64) for name in ("units", "pairs", "held_out")}
    shape = (len(held["units"]), len(held["classes"]))
    return (
        Heterogeneity(
            label=held["label"],
            classes=tuple(held["classes"]),
            histogram=np.array(held["histogram"], np.int64).reshape(shape),
            **counts,
        ),
        tuple(Sample(**sample | {"image": b64decode(sample["image"])}) for sample in samples),
    )


def _sample(data: FederatedData, partition: Partition, label: str | None, client: int) -> Sample:
    units = partition.train[client]
    chosen = units[np.linspace(0, len(units) - 1, min(IMAGES, len(units))).astype(int)]
    known, first = np.unique(data.units, return_index=True)
    images = [data.images[int(first[np.searchsorted(known, unit)])] for unit in chosen]
    width = len(images) * (SIDE + SPACE) - SPACE
    strip = Image.new("RGBA", (width, SIDE))
    for place, image in enumerate(images):
        small = image.convert("RGBA").resize((SIDE, SIDE), Image.Resampling.LANCZOS)
        strip.paste(small, (place * (SIDE + SPACE), 0))
    named = "" if label is None else f": {', '.join(map(str, data.label(label)[chosen]))}"
    return Sample(client, f"{len(images)} training images of client {client}{named}", _webp(strip), width)


def _webp(image: Any) -> bytes:
    buffer = BytesIO()
    image.save(buffer, format="WEBP", quality=82, method=4)
    return buffer.getvalue()
