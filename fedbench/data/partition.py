"""Partitions: which client holds which unit, and the check that no unit has two holders."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np

from fedbench.data.items import FederatedData
from fedbench.errors import UsageError
from fedbench.fingerprint import sha256_json


@dataclass(frozen=True)
class Partition:
    """A deal of units to K clients."""

    train: tuple[np.ndarray, ...]
    """Per client, the units it trains on."""
    evaluation: tuple[np.ndarray, ...]
    """Per client, the held-out units that are like its own."""

    @cached_property
    def fingerprint(self) -> str:
        """sha256 of all clients' units, training and held out."""
        return sha256_json([[units.tolist() for units in side] for side in (self.train, self.evaluation)])

    def shards(self, data: FederatedData) -> tuple[np.ndarray, ...]:
        """List, per client, the indices of its training pairs, ascending."""
        return tuple(np.flatnonzero(np.isin(data.pair_units, units)) for units in self.train)

    def client_of(self, unit: int) -> int | None:
        """Find the client whose held-out units contain ``unit``; None if no client's do."""
        return self._evaluation_clients.get(unit)

    @cached_property
    def _evaluation_clients(self) -> dict[int, int]:
        return {int(unit): client for client, units in enumerate(self.evaluation) for unit in units}


Partitioner = Callable[[FederatedData, int, Path], Partition]
"""``partitioner(data, clients, folder)`` gives a partition; ``folder`` is the scenario's, for its files.
A partition belongs to the scenario: it depends on options only, never on a run's seed."""


def checked(partition: Partition, data: FederatedData, clients: int, name: str) -> Partition:
    """Refuse a partition that has the wrong number of clients, an overlap or an empty client."""
    problem = None
    for side, parts in (("train", partition.train), ("evaluation", partition.evaluation)):
        units = np.concatenate(parts) if parts else np.empty(0, dtype=np.int64)
        if len(parts) != clients:
            problem = f"{side} has {len(parts)} clients, the scenario {clients}"
        elif len(np.unique(units)) != len(units):
            problem = f"a {side} unit belongs to two clients"
        elif len(units) and not 0 <= units.min() <= units.max() <= data.units.max():
            problem = f"a {side} unit is not in the data"
    empty = [k for k, shard in enumerate(partition.shards(data)) if not len(shard)]
    if not problem and empty:
        problem = f"client {empty[0]} has no training pair"
    if problem:
        raise UsageError(f"partition {name!r} does not fit the data", why=problem)
    return partition
