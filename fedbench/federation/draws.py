"""Whom the faults of a scenario strike: pure functions of the seed, the round and the client. No torch here.

Every draw is a named stream, so all methods meet the same faults, and a record can be checked against them.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from fedbench.rng import numpy_stream
from fedbench.scenario import Faults

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
        """Who does not answer the call."""
        return self._struck("dropout", self.spec.dropout, round, clients)

    def late(self, round: int, clients: Sequence[int]) -> set[int]:
        """Whose update comes after the round has closed."""
        return self._struck("straggling", self.spec.straggling, round, clients)

    def corrupted(self, round: int, clients: Sequence[int]) -> dict[int, str]:
        """Whose update arrives as rubbish, and as what kind of it."""
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
