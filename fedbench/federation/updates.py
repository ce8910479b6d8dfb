"""Client updates as rows of named tensors, so that late ones can wait, be joined and be checkpointed."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from math import prod

import torch
from torch import Generator, Tensor

from fedbench.api.aggregator import Cohort
from fedbench.api.scenario import Training
from fedbench.federation.client_state import ClientState, of
from fedbench.federation.local import LocalWork, Trained, steps_of
from fedbench.params import ParamSpace

Updates = Mapping[str, Tensor]
"""``client``, ``num_examples``, ``steps`` [C]; ``params``, ``start`` [C, P]; ``reports/…`` [C];
``client_state/…`` [C, P]. Empty where nobody has sent anything."""

REPORTS, CLIENT_STATE = "reports/", "client_state/"


def sent(work: Sequence[LocalWork], start: Tensor, trained: Trained, training: Training) -> Updates:
    """What the clients of ``work`` send after training from ``start``."""

    def column(values: list[int]) -> Tensor:
        return torch.tensor(values, device=start.device)

    return {
        "client": column([item.client for item in work]),
        "num_examples": column([len(item.examples) for item in work]),
        "steps": column([steps_of(len(item.examples), training) for item in work]),
        "params": trained.params,
        "start": start,
        **{f"{REPORTS}{name}": values for name, values in trained.reports.items()},
        **{f"{CLIENT_STATE}{name}": vectors for name, vectors in trained.client_state.items()},
    }


def clients_of(updates: Updates) -> tuple[int, ...]:
    return tuple(updates["client"].tolist()) if updates else ()


def rows(updates: Updates, chosen: Tensor) -> Updates:
    """The rows that ``chosen`` (a mask or indices) names; nothing at all if there are none."""
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
    table = [v.isfinite().reshape(len(v), prod(v.shape[1:])).all(1) for v in updates.values()]
    return torch.stack(table).all(0)


def cohort_of(
    updates: Updates,
    round: int,
    space: ParamSpace,
    stream: Callable[..., Generator],
    client_state: ClientState,
) -> Cohort:
    """What the method is given. ``client_state``: what every client kept before."""

    def named(prefix: str) -> dict[str, Tensor]:
        return {n.removeprefix(prefix): values for n, values in updates.items() if n.startswith(prefix)}

    clients = clients_of(updates)
    return Cohort(
        round=round,
        clients=clients,
        params=updates["params"],
        start=updates["start"],
        num_examples=updates["num_examples"],
        steps=updates["steps"],
        reports=named(REPORTS),
        space=space,
        stream=stream,
        client_state=named(CLIENT_STATE),
        client_state_before=of(client_state, clients).client_state,
    )
