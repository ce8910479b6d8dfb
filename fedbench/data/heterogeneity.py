"""Heterogeneity of a partition's clients: sizes, label histograms, and one number for each skew."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.spatial.distance import jensenshannon
from scipy.stats import random_table, variation

from fedbench.api.scenario import Modality, Scenario
from fedbench.data.items import FederatedData
from fedbench.data.modality import missing_parts
from fedbench.data.partition import Partition
from fedbench.rng import numpy_stream

MOST_CLASSES = 8
"""Most classes that are shown: as many as distinct colours, and as a terminal has columns for."""

DEALS = 20
"""Random deals that the chance skew is averaged over."""


@dataclass(frozen=True)
class Heterogeneity:
    """The units, pairs and labels that each of K clients holds."""

    label: str | None
    """The label that is counted; None for data without labels."""
    classes: tuple[str, ...]
    """The label's values, most frequent first."""
    histogram: np.ndarray
    """[K, classes]: training units of each client and class."""
    units: np.ndarray
    """[K]: training units."""
    pairs: np.ndarray
    """[K]: training pairs."""
    held_out: np.ndarray
    """[K]: held-out units."""
    without_image: np.ndarray | None = None
    """[K]: training pairs that lack their image; None where the scenario lets nothing be missing."""
    without_text: np.ndarray | None = None
    """[K]: training pairs that lack their text; None where the scenario lets nothing be missing."""

    @property
    def label_skew(self) -> float | None:
        """Mean Jensen–Shannon divergence between a client's labels and all clients', weighted by size.

        In bits: 0 if all clients are alike, below 1 always.
        """
        return self._divergence(self.histogram) if self.label else None

    @property
    def chance_skew(self) -> float | None:
        """The label skew of the same units, dealt at random to clients of the same sizes."""
        if not self.label:
            return None
        deals = random_table(self.units, self.histogram.sum(0))
        drawn = deals.rvs(DEALS, random_state=numpy_stream(0, "chance skew"))
        return float(np.mean([self._divergence(histogram) for histogram in drawn]))

    def _divergence(self, histogram: np.ndarray) -> float:
        distances = jensenshannon(histogram, histogram.sum(0, keepdims=True), base=2, axis=1)
        return float(np.average(distances**2, weights=self.units))

    @property
    def size_skew(self) -> float:
        """Coefficient of variation of the clients' units: 0 if all have equally many."""
        return float(variation(self.units))

    def commonest(self) -> tuple[list[str], np.ndarray]:
        """Merge the histogram to :data:`MOST_CLASSES` columns at most: the commonest, and all others."""
        if len(self.classes) <= MOST_CLASSES:
            return list(self.classes), self.histogram
        kept = MOST_CLASSES - 1
        others = self.histogram[:, kept:].sum(1, keepdims=True)
        names = [*self.classes[:kept], f"{len(self.classes) - kept} others"]
        return names, np.hstack([self.histogram[:, :kept], others])


def heterogeneity(
    data: FederatedData, partition: Partition, label: str | None, modality: Modality | None = None
) -> Heterogeneity:
    """Count what each client of a partition holds, by the values of ``label`` if there is one, and what it
    lacks by ``modality``."""
    classes, histogram = np.empty(0, dtype=np.str_), np.empty((len(partition.train), 0), dtype=np.int64)
    if label is not None:
        values = data.label(label)
        classes, totals = np.unique(values[np.concatenate(partition.train)], return_counts=True)
        classes = classes[np.argsort(-totals, kind="stable")]
        histogram = np.stack([(values[units, None] == classes).sum(0) for units in partition.train])
    shards = partition.shards(data)
    missing = missing_parts(modality, shards, len(data.pairs)).counted(shards) if modality else None
    return Heterogeneity(
        label=label,
        classes=tuple(classes.tolist()),
        histogram=histogram,
        units=np.array([len(units) for units in partition.train]),
        pairs=np.array([len(shard) for shard in shards]),
        held_out=np.array([len(units) for units in partition.evaluation]),
        without_image=np.array(missing[0]) if missing else None,
        without_text=np.array(missing[1]) if missing else None,
    )


def default_label(scenario: Scenario, data: FederatedData) -> str | None:
    """Choose the label to count by: what the primary measure asks about, else what the partition deals by,
    else the data's first label; None if it has none."""
    asked = scenario.evaluation.primary.split("/")[-2]
    wanted = (asked, scenario.partition.options.get("label"), *data.labels)
    return next((name for name in wanted if name in data.labels), None)
