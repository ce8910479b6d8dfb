"""What follows from scenario and seed alone: cohorts, turns, each client's examples, faults. No torch.

Every draw is a named stream, so all methods meet the same cohorts and the same faults, and verification can
draw them again.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from functools import cached_property, lru_cache
from itertools import accumulate, pairwise
from math import ceil

import numpy as np

from fedbench.api.scenario import Faults
from fedbench.rng import numpy_stream


class LeftOut(StrEnum):
    """Why a client's update of a round was not used in it, as a record says it."""

    NO_EXAMPLES = "no examples"
    DROPPED_OUT = "dropped out"
    STILL_BUSY = "still at the round before"
    LATE = "late"
    LATE_FOR_NEXT = "late, for the next round"
    NOT_FINITE = "not finite"


@lru_cache(maxsize=4096)
def cohort(seed: int, round: int, clients: int, size: int | None) -> tuple[int, ...]:
    """The clients of a round, ascending; the same for every method."""
    if size is None or size >= clients:
        return tuple(range(clients))
    chosen = numpy_stream(seed, "cohort", round).choice(clients, size, replace=False)
    return tuple(sorted(chosen.tolist()))


def turns(seed: int, client: int, clients: int, size: int | None, rounds: int) -> Sequence[int]:
    """The rounds (from 1) in which ``client`` takes part."""
    if size is None or size >= clients:
        return range(1, rounds + 1)
    return _turns(seed, clients, size, rounds).get(client, ())


@lru_cache(maxsize=64)
def _turns(seed: int, clients: int, size: int, rounds: int) -> Mapping[int, Sequence[int]]:
    """The turns of every client that has any."""
    rounds_of: dict[int, list[int]] = defaultdict(list)
    for number in range(1, rounds + 1):
        for client in cohort(seed, number, clients, size):
            rounds_of[client].append(number)
    return dict(rounds_of)


def part_span(examples: int, parts: int, number: int) -> tuple[int, int]:
    """Where part ``number`` (from 0) of so many nearly equal ones begins and ends; the first are the longest.

    >>> [part_span(7, 3, number) for number in range(3)]
    [(0, 3), (3, 5), (5, 7)]
    """
    size, longer = divmod(examples, parts)
    begin = number * size + min(number, longer)
    return begin, begin + size + (number < longer)


def one_pass_part(shard: np.ndarray, seed: int, client: int, parts: int, number: int) -> np.ndarray:
    """What a client sees when it takes part for the ``number``-th time (from 0) of ``parts``: its data,
    shuffled once and cut into disjoint parts."""
    shuffled: np.ndarray = numpy_stream(seed, "parts", client).permutation(shard)
    return shuffled[slice(*part_span(len(shard), parts, number))]


def phase_spans(examples: int, batch_size: int, shares: Sequence[float]) -> list[tuple[int, int]]:
    """Where each phase of a client's round begins and ends in its ``examples``, repeated without end.

    A phase takes its share of the batches and begins where the one before it ended.
    """
    if not examples:
        return [(0, 0)] * len(shares)
    batches = ceil(examples / batch_size)

    def position(share: float) -> int:
        passes, rest = divmod(round(share * batches), batches)
        return passes * examples + min(rest * batch_size, examples)

    ends = [position(share) for share in accumulate(shares)]
    return list(pairwise([0, *ends]))


NO_FAULTS = Faults()


@dataclass(frozen=True)
class FaultDraws:
    """The draws of one run over ``clients`` clients."""

    spec: Faults
    seed: int
    clients: int

    @cached_property
    def byzantine(self) -> frozenset[int]:
        """The clients that attack, the whole run long."""
        number = self.spec.attackers(self.clients)
        if not number:
            return frozenset()
        chosen = numpy_stream(self.seed, "faults", "byzantine").choice(self.clients, number, replace=False)
        return frozenset(chosen.tolist())

    def dropped(self, round: int, clients: Sequence[int]) -> set[int]:
        """The clients that do not answer the call."""
        return self._struck("dropout", self.spec.dropout, round, clients)

    def late(self, round: int, clients: Sequence[int]) -> set[int]:
        """The clients whose update comes after the round has closed."""
        return self._struck("straggling", self.spec.straggling, round, clients)

    def corrupted(self, round: int, clients: Sequence[int]) -> dict[int, str]:
        """The clients whose update arrives corrupted, and how."""
        kinds = self.spec.corrupted
        return {
            client: kinds[int(self._draw("kind", round, client).integers(len(kinds)))]
            for client in sorted(self._struck("corruption", self.spec.corruption, round, clients))
        }

    def _struck(self, fault: str, rate: float, round: int, clients: Sequence[int]) -> set[int]:
        if not rate:  # a stream for each client and round is too much for a fault that never happens
            return set()
        return {client for client in clients if self._draw(fault, round, client).random() < rate}

    def _draw(self, fault: str, round: int, client: int) -> np.random.Generator:
        return numpy_stream(self.seed, "faults", fault, round, client)


def passes(shard: np.ndarray, times: int, seed: int, *names: str | int) -> np.ndarray:
    """``times`` passes over a shard one after another, each in an order of its own."""
    orders = [numpy_stream(seed, "epoch", *names, epoch).permutation(shard) for epoch in range(times)]
    return np.concatenate(orders)
