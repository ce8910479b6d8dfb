"""Partitions: which client holds which unit. A disjoint cover of what it deals, checked."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from pydantic import Field

from fedbench.data.items import AlignmentData
from fedbench.errors import UsageError
from fedbench.fingerprint import sha256_file, sha256_json
from fedbench.rng import numpy_stream
from fedbench.specs import Options


@dataclass(frozen=True)
class Partition:
    """Per client, the units it trains on and the held-out units that are like its own."""

    train: tuple[np.ndarray, ...]
    evaluation: tuple[np.ndarray, ...]

    @cached_property
    def fingerprint(self) -> str:
        return sha256_json([[units.tolist() for units in side] for side in (self.train, self.evaluation)])

    def shards(self, data: AlignmentData) -> tuple[np.ndarray, ...]:
        """Per client, the indices of its training pairs, ascending."""
        return tuple(np.flatnonzero(np.isin(data.pair_units, units)) for units in self.train)

    def client_of(self, unit: int) -> int | None:
        """The client whose held-out units hold ``unit``."""
        return self._evaluation_clients.get(unit)

    @cached_property
    def _evaluation_clients(self) -> dict[int, int]:
        return {int(unit): client for client, units in enumerate(self.evaluation) for unit in units}


Partitioner = Callable[[AlignmentData, int, Path], Partition]
"""``partitioner(data, clients, folder)``; ``folder`` is the scenario's, for files it names. A partition
belongs to the scenario: it depends on no run's seed, only on options."""


def checked(partition: Partition, data: AlignmentData, clients: int, name: str) -> Partition:
    """Refuse a partition that has the wrong number of clients, an overlap or an empty client."""
    trouble = None
    for side, parts in (("train", partition.train), ("evaluation", partition.evaluation)):
        units = np.concatenate(parts) if parts else np.empty(0, dtype=np.int64)
        if len(parts) != clients:
            trouble = f"{side} has {len(parts)} clients, the scenario {clients}"
        elif len(np.unique(units)) != len(units):
            trouble = f"a {side} unit belongs to two clients"
        elif len(units) and not 0 <= units.min() <= units.max() <= data.units.max():
            trouble = f"a {side} unit is not in the data"
    empty = [k for k, shard in enumerate(partition.shards(data)) if not len(shard)]
    if not trouble and empty:
        trouble = f"client {empty[0]} has no training pair"
    if trouble:
        raise UsageError(f"partition {name!r} does not fit the data", why=trouble)
    return partition


class ManifestOptions(Options):
    """Options of the ``manifest`` partitioner."""

    file: str = Field(
        description='JSON beside the scenario: {"train": [[unit, …], …], "evaluation": [[…], …]}'
    )
    sha256: str = Field(description="of that file")


def manifest(options: ManifestOptions) -> Partitioner:
    """A partition fixed by a shipped file of unit indices."""

    def deal(data: AlignmentData, clients: int, folder: Path) -> Partition:
        path = folder / options.file
        try:
            found = sha256_file(path)
            values: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
        except (OSError, ValueError) as error:
            raise UsageError("can't read the partition manifest", where=path, why=error) from error
        if found != options.sha256:
            raise UsageError(
                "the partition manifest is not the one the scenario was made with",
                where=path,
                why=f"its sha256 is {found[:12]}…, expected {options.sha256[:12]}…",
                fix="reinstall the scenario package",
            )
        sides = (
            tuple(np.array(units, dtype=np.int64) for units in values[side])
            for side in ("train", "evaluation")
        )
        return Partition(*sides)

    return deal


class IidOptions(Options):
    """Options of the ``iid`` partitioner."""

    seed: int = Field(0, ge=0)


def iid(options: IidOptions) -> Partitioner:
    """Units dealt evenly and at random; the held-out ones are everybody's in turn."""

    def deal(data: AlignmentData, clients: int, folder: Path) -> Partition:
        shuffled = numpy_stream(options.seed, "partition", "iid").permutation(np.unique(data.pair_units))
        held_out = np.setdiff1d(
            data.units[[item.image for suite in data.suites.values() for item in suite.items]], shuffled
        )
        return Partition(
            tuple(np.sort(shuffled[k::clients]) for k in range(clients)),
            tuple(held_out[k::clients] for k in range(clients)),
        )

    return deal
