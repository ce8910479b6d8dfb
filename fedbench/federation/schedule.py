"""What follows from scenario and seed alone: cohorts, turns, each client's examples, faults. No torch.

Every draw is a named stream, so all methods meet the same cohorts and the same faults, and verification can
draw them again.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from functools import cached_property, lru_cache
from itertools import accumulate, pairwise
from math import ceil
from operator import mul

import numpy as np

from fedbench.api.scenario import Faults, Federation
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


@dataclass(frozen=True)
class TurnSizes:
    """How many examples a client trains on in each of its ``turns``: ``long`` in the first ``longer`` of
    them, ``short`` in the others."""

    turns: int
    longer: int
    long: int
    short: int

    def at(self, turn: int) -> int:
        """The examples of ``turn``, from 0."""
        return self.long if turn < self.longer else self.short

    def before(self, turn: int, cost: Callable[[int], int] = int) -> int:
        """The sum of ``cost(examples)`` over the turns before ``turn``; there are two sizes, so it takes no
        longer for many turns than for two."""
        long = cost(self.long) if self.longer else 0
        return min(turn, self.longer) * long + max(0, turn - self.longer) * cost(self.short)


@dataclass(frozen=True)
class Pace:
    """How far each client of a population gets in a round.

    ``epochs``: passes over its whole shard; None: one pass over all its turns. ``speeds[k]``: the share of
    its steps that client k manages.
    """

    batch_size: int
    epochs: int | None
    speeds: Sequence[float]

    @classmethod
    def of(cls, federation: Federation, batch_size: int, sizes: Sequence[int], clients: int) -> Pace:
        """The pace of ``clients`` clients under ``federation``, whose own clients hold ``sizes`` examples.

        In another population, such as one place with all data, everybody goes as far as the scenario's
        clients together: as the mean of their speeds, weighted by examples, and where a round takes whole
        shards, for the cohort's share of the clients only. So an anchor trains on as many examples.
        """
        speeds = federation.speed
        own = speeds * federation.clients if len(speeds) == 1 else speeds
        if clients == federation.clients:
            return cls(batch_size, federation.epochs, own)
        together = sum(map(mul, own, sizes)) / max(1, sum(sizes))
        if federation.epochs and federation.cohort:
            together *= federation.cohort / federation.clients
        return cls(batch_size, federation.epochs, (together,) * clients)

    def sizes(self, client: int, shard: int, turns: int) -> TurnSizes:
        """How many examples ``client`` trains on in each of its ``turns`` (1 or more); ``shard``: those that
        it holds."""
        size, longer = (self.epochs * shard, 0) if self.epochs else divmod(shard, turns)
        long, short = (self._managed(client, examples) for examples in (size + 1, size))
        return TurnSizes(turns=turns, longer=longer, long=long, short=short)

    def _managed(self, client: int, examples: int) -> int:
        """How many of so many examples ``client`` gets to: whole steps, to the nearest, at least one."""
        steps = ceil(examples / self.batch_size)
        return min(examples, self.batch_size * max(1, round(self.speeds[client] * steps)))


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
