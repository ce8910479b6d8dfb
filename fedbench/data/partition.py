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
    """For each client, the units it trains on and the held-out units that are like its own.

    >>> import numpy as np
    >>> from fedbench import Partition
    >>> partition = Partition(
    ...     train=(np.array([0, 1]), np.array([2])), evaluation=(np.array([3]), np.array([4]))
    ... )
    >>> partition.client_of(4)
    1
    """

    train: tuple[np.ndarray, ...]
    """The units that each client trains on."""
    evaluation: tuple[np.ndarray, ...]
    """The held-out units that each client is evaluated on."""

    @cached_property
    def fingerprint(self) -> str:
        """sha256 of both."""
        return sha256_json([[units.tolist() for units in side] for side in (self.train, self.evaluation)])

    def shards(self, data: FederatedData) -> tuple[np.ndarray, ...]:
        """For each client, the indices [n] of its training pairs, ascending."""
        return tuple(np.flatnonzero(np.isin(data.pair_units, units)) for units in self.train)

    def client_of(self, unit: int) -> int | None:
        """The client whose held-out units hold ``unit``; None if no client's do."""
        return self._evaluation_clients.get(unit)

    @cached_property
    def _evaluation_clients(self) -> dict[int, int]:
        return {int(unit): client for client, units in enumerate(self.evaluation) for unit in units}


Partitioner = Callable[[FederatedData, int, Path], Partition]
"""``partitioner(data, clients, folder)``: what the factory of a ``PartitionerSpec`` returns.

``folder`` is the scenario's, for files it names. A partition belongs to the scenario: it depends on options,
not on a run's seed. The engine checks that no unit has two clients and no client is empty.

>>> import numpy as np
>>> from fedbench import Partition, Partitioner
>>> def alternating(data, clients, folder):
...     held_out = np.unique(data.units[data.held_out_images])
...     train = np.setdiff1d(data.units, held_out)
...     sides = ([units[k::clients] for k in range(clients)] for units in (train, held_out))
...     return Partition(*map(tuple, sides))
>>> partitioner: Partitioner = alternating
"""


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
