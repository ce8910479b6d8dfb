"""What clients keep from round to round (SCAFFOLD's c_i, MOON's last model): stored by the engine."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from torch import Tensor

from fedbench.api.aggregator import Clients

ClientState = Mapping[str, Tensor]
"""Named vectors of every client, [N, P]."""


def fresh(initial: Mapping[str, Tensor], clients: int) -> ClientState:
    """Everybody's vectors before the first round, from what each starts with [P]."""
    return {name: vector.repeat(clients, 1) for name, vector in initial.items()}


def of(client_state: ClientState, ids: Sequence[int]) -> Clients:
    """These clients and their vectors [C, P]."""
    return Clients(tuple(ids), {name: vectors[list(ids)] for name, vectors in client_state.items()})


def updated(client_state: ClientState, ids: Sequence[int], new: Mapping[str, Tensor]) -> ClientState:
    """``client_state`` with these clients' vectors replaced by ``new`` [C, P]; the old one stays as it is."""
    after = {name: vectors.clone() for name, vectors in client_state.items()}
    for name, vectors in new.items():
        after[name][list(ids)] = vectors
    return after
