"""What clients keep from round to round (SCAFFOLD's c_i, MOON's last model): stored by the engine."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from torch import Tensor

from fedbench.methods import Clients

Kept = Mapping[str, Tensor]
"""Named vectors of every client, [N, P]."""


def fresh(initial: Mapping[str, Tensor], clients: int) -> Kept:
    """Everybody's vectors before the first round, from what each starts with [P]."""
    return {name: vector.repeat(clients, 1) for name, vector in initial.items()}


def of(kept: Kept, ids: Sequence[int]) -> Clients:
    """These clients and their vectors [C, P]."""
    return Clients(tuple(ids), {name: vectors[list(ids)] for name, vectors in kept.items()})


def updated(kept: Kept, ids: Sequence[int], new: Mapping[str, Tensor]) -> Kept:
    """``kept`` with these clients' vectors replaced by ``new`` [C, P]; the old one stays as it is."""
    after = {name: vectors.clone() for name, vectors in kept.items()}
    for name, vectors in new.items():
        after[name][list(ids)] = vectors
    return after
