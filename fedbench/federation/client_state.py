"""What clients keep from round to round (SCAFFOLD's c_i, a personal layer): stored by the engine."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from torch import Tensor

from fedbench.federation.division import Division

ClientState = Mapping[str, Tensor]
"""Named vectors of every client, [N, P]; under :data:`PARAMS` the parameters that stay with it, [N, P−S], and
under :data:`FINISHED` the model that it has made of the last one."""

PARAMS, FINISHED = "params", "finished"


def fresh(
    initial: Mapping[str, Tensor], params: Tensor, division: Division, clients: int
) -> dict[str, Tensor]:
    """Everybody's vectors before the first round: a method's ``initial`` ones, and what stays of ``params``
    [P]."""
    if taken := {PARAMS, FINISHED} & set(initial):
        raise ValueError(f"initial_client_state uses a name of the engine's: {', '.join(taken)}")
    kept = {PARAMS: division.kept(params)} if division.staying.size else {}
    return {name: vector.repeat(clients, 1) for name, vector in (kept | dict(initial)).items()}


def of(client_state: ClientState, ids: Sequence[int]) -> dict[str, Tensor]:
    """The vectors of these clients, [C, ...] each."""
    return {name: vectors[list(ids)] for name, vectors in client_state.items()}


def updated(client_state: ClientState, ids: Sequence[int], new: Mapping[str, Tensor]) -> ClientState:
    """``client_state`` with these clients' vectors replaced by ``new`` [C, ...]; the old one stays."""
    after = {name: vectors.clone() for name, vectors in client_state.items()}
    for name, vectors in new.items():
        after[name][list(ids)] = vectors
    return after
