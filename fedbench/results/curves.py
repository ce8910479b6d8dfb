"""Learning curves: how steadily a method learns, how soon and at what cost it reaches a target."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import accumulate
from typing import Annotated

import numpy as np
from pydantic import PlainSerializer, PlainValidator

from fedbench.api.metrics import Measure
from fedbench.results.own_part import round_scores
from fedbench.results.records import Record

Values = Annotated[np.ndarray, PlainValidator(np.asarray), PlainSerializer(np.ndarray.tolist)]
"""Numbers as an array, in JSON as a list."""


@dataclass(frozen=True)
class Curve:
    """A measure over the rounds 0 to R, and what had been spent by then."""

    values: Values
    """[R+1]: the measure after every round."""
    sign: int
    """−1 where lower is better, else 1."""
    uplink: tuple[int, ...]
    """[R+1]: bytes that the clients had sent."""
    examples: tuple[int, ...]
    """[R+1]: training examples that the clients had seen."""

    @property
    def instability(self) -> float:
        """Mean drop from the best value so far, over the rounds: 0 for a method that never gets worse."""
        best = np.maximum.accumulate(self.sign * self.values)
        return float((best - self.sign * self.values)[1:].mean()) if len(self.values) > 1 else 0.0

    def reaches(self, target: float) -> int | None:
        """Find the first round whose measure is at least as good as ``target``; None if none is."""
        there = np.flatnonzero(self.sign * self.values >= self.sign * target)
        return int(there[0]) if len(there) else None


def curve(record: Record, name: str | None = None) -> Curve | None:
    """Draw the curve of measure ``name`` (by default the primary one); None if a round did not measure it."""
    return curves(record, [name or record.primary]).get(name or record.primary)


def curves(record: Record, names: Iterable[str] | None = None) -> dict[str, Curve]:
    """Draw the curves of the measures ``names``, by default of all, that every round from 0 on measured."""
    return drawn(record, round_scores(record), names)


def drawn(
    record: Record, rounds: Sequence[Mapping[str, Measure]], names: Iterable[str] | None = None
) -> dict[str, Curve]:
    """Draw the curves as :func:`curves` does, from the scores of the record's ``rounds``."""
    uplink = tuple(accumulate(entry.costs.uplink_bytes for entry in record.rounds))
    examples = tuple(accumulate(entry.costs.client_examples for entry in record.rounds))
    asked = (rounds[0] if rounds else ()) if names is None else names
    return {
        name: Curve(
            values=np.array([scores[name].value for scores in rounds]),
            sign=-1 if rounds[0][name].better == "lower" else 1,
            uplink=uplink,
            examples=examples,
        )
        for name in asked
        if rounds and all(name in scores for scores in rounds)
    }
