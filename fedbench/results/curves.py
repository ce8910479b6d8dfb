"""What a record's rounds say: how steadily a method learns, how soon and how cheaply it gets somewhere."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import accumulate

import numpy as np

from fedbench.results.records import Record


@dataclass(frozen=True)
class Curve:
    """A measure after every round from 0, [R+1]; ``sign`` is −1 where less is better. ``uplink`` and
    ``examples`` are what had been spent by then."""

    values: np.ndarray
    sign: int
    uplink: tuple[int, ...]
    examples: tuple[int, ...]

    @property
    def instability(self) -> float:
        """Mean drop from the best so far, over the rounds: 0 for a method that never forgets."""
        best = np.maximum.accumulate(self.sign * self.values)
        return float((best - self.sign * self.values)[1:].mean()) if len(self.values) > 1 else 0.0

    def reaches(self, target: float) -> int | None:
        """The first round whose measure is at least as good as ``target``."""
        there = np.flatnonzero(self.sign * self.values >= self.sign * target)
        return int(there[0]) if len(there) else None


def curve(record: Record, name: str | None = None) -> Curve | None:
    """The curve of measure ``name`` (the primary one); None if it was not measured every round."""
    name = name or record.primary
    if not record.rounds or any(name not in entry.metrics for entry in record.rounds):
        return None
    measures = [entry.metrics[name] for entry in record.rounds]
    return Curve(
        values=np.array([measure.value for measure in measures]),
        sign=-1 if measures[0].better == "lower" else 1,
        uplink=tuple(accumulate(entry.costs.uplink_bytes for entry in record.rounds)),
        examples=tuple(accumulate(entry.costs.client_examples for entry in record.rounds)),
    )
