"""Partitioners: ways to deal units to clients, seeded, disjoint, held-out units in the same proportions.

Every factory takes its options and returns a ``Partitioner`` (see ``data.partition``).
"""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from pydantic import Field

from fedbench.api.options import Options
from fedbench.data.items import FederatedData
from fedbench.data.partition import Partition, Partitioner
from fedbench.errors import UsageError
from fedbench.fingerprint import sha256_file
from fedbench.rng import numpy_stream

TRIES = 100
"""Draws of the shares before a partition with too small a client is refused."""


class ManifestOptions(Options):
    """Options of the ``manifest`` partitioner."""

    file: str = Field(
        description='JSON beside the scenario: {"train": [[unit, …], …], "evaluation": [[…], …]}'
    )
    sha256: str = Field(description="sha256 of that file")


SIDES = ("train", "evaluation")


def manifest(options: ManifestOptions) -> Partitioner:
    """Read a partition from a shipped file of unit indices."""

    def deal(data: FederatedData, clients: int, folder: Path) -> Partition:
        path = folder / options.file
        try:
            actual = sha256_file(path)
            values: dict[str, Any] = json.loads(path.read_text(encoding="utf-8-sig"))
            sides = [[np.array(units, dtype=np.int64) for units in values[side]] for side in SIDES]
        except (OSError, ValueError, KeyError, TypeError) as error:
            why = f"{error} is not there" if isinstance(error, KeyError) else error
            raise UsageError("can't read the partition manifest", where=path, why=why) from error
        if actual != options.sha256:
            raise UsageError(
                "the partition manifest is not the one the scenario was made with",
                where=path,
                why=f"its sha256 is {actual[:12]}…, expected {options.sha256[:12]}…",
                fix="reinstall the scenario package",
            )
        return Partition(*map(tuple, sides))

    return deal


class SeededOptions(Options):
    """Options of every drawn partition."""

    seed: int = Field(0, ge=0, description="seed of the deal; it belongs to the scenario, not to a run")
    least: int = Field(1, ge=1, description="fewest training units a client may have")


class LabelOptions(SeededOptions):
    """Options of partitions by a label of the data."""

    label: str = Field(description="the label to deal by, such as category, kind or artist")


class NaturalOptions(LabelOptions):
    """Options of the ``natural`` partitioner."""

    label: str = Field("client", description="the label whose values are the clients")


class DirichletOptions(LabelOptions):
    """Options of the ``dirichlet`` partitioner."""

    alpha: float = Field(0.3, gt=0, description="concentration: small is skewed, large is even")


class ShardsOptions(LabelOptions):
    """Options of the ``shards`` partitioner."""

    per_client: int = Field(2, ge=1, description="shards of label-sorted units for each client")


class QuantityOptions(SeededOptions):
    """Options of the ``quantity`` partitioner."""

    alpha: float = Field(0.5, gt=0, description="concentration of the clients' sizes")


def iid(options: SeededOptions) -> Partitioner:
    """Deal evenly and at random."""

    def shares(data: FederatedData, clients: int, rng: np.random.Generator) -> Shares:
        return _everything(data), np.full((1, clients), 1 / clients)

    return _drawn("iid", options, shares)


def dirichlet(options: DirichletOptions) -> Partitioner:
    """Deal with label skew: each label's units go to the clients in proportions drawn from Dir(α)
    (Hsu et al. 2019, arXiv 1909.06335)."""

    def shares(data: FederatedData, clients: int, rng: np.random.Generator) -> Shares:
        codes = _codes(data, options.label)
        return codes, rng.dirichlet(np.full(clients, options.alpha), size=codes.max() + 1)

    return _drawn("dirichlet", options, shares)


def quantity(options: QuantityOptions) -> Partitioner:
    """Deal with quantity skew: one draw from Dir(α) sets each client's share of every label."""

    def shares(data: FederatedData, clients: int, rng: np.random.Generator) -> Shares:
        return _everything(data), rng.dirichlet(np.full(clients, options.alpha), size=1)

    return _drawn("quantity", options, shares)


def natural(options: NaturalOptions) -> Partitioner:
    """Make a client of each value that the label takes in the training data, in alphabetical order."""

    def shares(data: FederatedData, clients: int, rng: np.random.Generator) -> Shares:
        codes, labels = _codes(data, options.label), data.label(options.label)
        present = np.unique(labels[train_units(data)])
        if len(present) != clients:
            raise UsageError(
                f"label {options.label!r} takes {len(present)} values in the training data,"
                f" the scenario has {clients} clients"
            )
        owner = {value: client for client, value in enumerate(present)}
        table = np.zeros((codes.max() + 1, clients))
        for value, code in zip(labels, codes, strict=True):
            if value in owner:
                table[code, owner[value]] = 1
        return codes, table

    return _drawn("natural", options, shares)


def shards(options: ShardsOptions) -> Partitioner:
    """Deal with pathological label skew: units sorted by label, cut into equal shards, a few to each client
    (McMahan et al. 2017, arXiv 1602.05629). Held-out units go to the clients in their label's proportions."""

    def deal(data: FederatedData, clients: int, folder: Path) -> Partition:
        rng = numpy_stream(options.seed, "partition", "shards")
        codes, train = _codes(data, options.label), train_units(data)
        ordered = train[np.lexsort((rng.permutation(len(train)), codes[train]))]
        pieces = np.array_split(ordered, clients * options.per_client)
        order = rng.permutation(len(pieces))
        hands = [order[client::clients] for client in range(clients)]
        dealt = [np.sort(np.concatenate([pieces[i] for i in hand])) for hand in hands]
        enough(dealt, options.least, "shards")
        held = np.stack([np.bincount(codes[units], minlength=codes.max() + 1) for units in dealt], axis=1)
        return Partition(tuple(dealt), _split(held_out_units(data), codes, _normalised(held), rng))

    return deal


Shares = tuple[np.ndarray, np.ndarray]
"""A class for every unit [units], and for every class the clients' shares of it [classes, clients]."""


def _drawn(
    name: str,
    options: SeededOptions,
    shares: Callable[[FederatedData, int, np.random.Generator], Shares],
) -> Partitioner:
    """Deal training and held-out units by the same drawn shares; draw again until every client has enough."""

    def deal(data: FederatedData, clients: int, folder: Path) -> Partition:
        rng = numpy_stream(options.seed, "partition", name)
        for _ in range(TRIES):
            codes, table = shares(data, clients, rng)
            train = _split(train_units(data), codes, table, rng)
            if min(map(len, train)) >= options.least:
                return Partition(train, _split(held_out_units(data), codes, table, rng))
        enough(train, options.least, name)
        raise AssertionError("unreachable")

    return deal


def _split(
    units: np.ndarray, codes: np.ndarray, table: np.ndarray, rng: np.random.Generator
) -> tuple[np.ndarray, ...]:
    """Each class's units, shuffled and cut where the clients' cumulated shares say."""
    parts: list[list[np.ndarray]] = [[] for _ in range(table.shape[1])]
    for code in np.unique(codes[units]):
        members = rng.permutation(units[codes[units] == code])
        if not table[code].any():
            continue
        cuts = (table[code].cumsum()[:-1] * len(members)).round().astype(int)
        for client, piece in enumerate(np.split(members, cuts)):
            parts[client].append(piece)
    return tuple(np.sort(np.concatenate([np.empty(0, dtype=np.int64), *pieces])) for pieces in parts)


def enough(dealt: Any, least: int, name: str) -> None:
    """Refuse a deal that leaves a client with fewer than ``least`` units."""
    smallest = min(map(len, dealt))
    if smallest < least:
        raise UsageError(
            f"partition {name!r} leaves a client with {smallest} units, fewer than least={least}",
            fix="take fewer clients, a larger alpha or a smaller least",
        )


def _normalised(counts: np.ndarray) -> np.ndarray:
    totals = counts.sum(1, keepdims=True)
    shares: np.ndarray = np.divide(counts, totals, out=np.zeros(counts.shape), where=totals > 0)
    return shares


def _everything(data: FederatedData) -> np.ndarray:
    return np.zeros(data.units.max() + 1, dtype=np.int64)


def _codes(data: FederatedData, label: str) -> np.ndarray:
    """The label's values as numbers, for every unit."""
    codes: np.ndarray = np.unique(data.label(label), return_inverse=True)[1]
    return codes


def train_units(data: FederatedData) -> np.ndarray:
    """List the units that pairs are about, ascending."""
    return np.unique(data.pair_units)


def held_out_units(data: FederatedData) -> np.ndarray:
    """List the units that are asked about and not trained on, ascending."""
    return np.setdiff1d(data.units[data.held_out_images], train_units(data))
