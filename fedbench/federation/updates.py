"""Client updates as rows of named tensors, so that late ones can wait, be joined and be checkpointed."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import torch
from torch import Generator, Tensor

from fedbench.api.cohort import Cohort
from fedbench.federation.client_state import PARAMS
from fedbench.federation.division import Division
from fedbench.federation.local import LocalWork, Trained
from fedbench.params import ParamSpace

Updates = Mapping[str, Tensor]
"""``client``, ``num_examples``, ``steps`` [C]; ``params``, ``start`` [C, S]; ``sent/…`` [C, *shape];
``client_state/…`` [C, …], what the clients keep once the update is used. Empty where nobody has sent
anything."""

SENT, CLIENT_STATE = "sent/", "client_state/"


def updates_of(work: Sequence[LocalWork], start: Tensor, trained: Trained, division: Division) -> Updates:
    """What the clients of ``work`` send and keep after training from ``start`` [C, S], as broadcast."""
    kept = {PARAMS: division.kept(trained.params)} if division.staying.size else {}

    def column(values: list[int]) -> Tensor:
        return torch.tensor(values, device=start.device)

    return {
        "client": column([item.client for item in work]),
        "num_examples": column([len(item.examples) for item in work]),
        "steps": trained.steps,
        "params": division.sent(trained.params),
        "start": start,
        **{f"{SENT}{name}": values for name, values in trained.sent.items()},
        **{f"{CLIENT_STATE}{name}": vectors for name, vectors in (kept | trained.client_state).items()},
    }


def clients_of(updates: Updates) -> tuple[int, ...]:
    """The clients that ``updates`` are from, in the order of their rows."""
    return tuple(updates["client"].tolist()) if updates else ()


def rows(updates: Updates, chosen: Tensor) -> Updates:
    """The rows that ``chosen`` (a mask or indices) names; nothing at all if there are none."""
    if chosen.dtype == torch.bool and chosen.all():
        return updates
    taken = {name: values[chosen] for name, values in updates.items()}
    return taken if len(taken["client"]) else {}


def joined(first: Updates, second: Updates) -> Updates:
    """Both, in client-id order."""
    if not (first and second):
        return first or second
    both = {name: torch.cat([first[name], second[name]]) for name in first}
    return rows(both, both["client"].argsort())


def rebased(updates: Updates, start: Callable[[int], Tensor]) -> Updates:
    """Late updates as steps from the present model: what was learnt, moved to where the server is now."""
    if not updates:
        return updates
    now = torch.stack([start(client) for client in clients_of(updates)])
    return {**updates, "params": now + (updates["params"] - updates["start"]), "start": now}


def finite(updates: Updates) -> Tensor:
    """[C]: whether everything a client sent is a finite number."""
    numbers = [values for values in updates.values() if values.is_floating_point()]
    # row by row: a matrix of truth values would be a quarter of the updates again
    table = [[part.isfinite().all() for part in row] for row in zip(*numbers, strict=True)]
    return torch.stack([torch.stack(row).all() for row in table])


def cohort_of(
    updates: Updates,
    round: int,
    space: ParamSpace,
    stream: Callable[..., Generator],
    ranks: Sequence[int] = (),
) -> Cohort:
    """What travelled, as a method may see it. ``space``: the parameters that travel; ``ranks``: every
    client's, where they differ."""
    return Cohort(
        round=round,
        clients=clients_of(updates),
        params=updates["params"],
        start=updates["start"],
        num_examples=updates["num_examples"],
        steps=updates["steps"],
        sent=named(updates, SENT),
        space=space,
        stream=stream,
        ranks=tuple(ranks[client] for client in clients_of(updates)) if ranks else (),
    )


def named(updates: Updates, prefix: str) -> dict[str, Tensor]:
    """The columns whose names begin with ``prefix``, without it."""
    return {name.removeprefix(prefix): values for name, values in updates.items() if name.startswith(prefix)}
