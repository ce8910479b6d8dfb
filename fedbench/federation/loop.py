"""``federate()``: the one round loop. Call, broadcast, train, receive, aggregate, account."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import torch
from torch import Tensor

from fedbench.api.aggregator import LocalRule, State
from fedbench.api.metrics import Costs
from fedbench.federation.client_state import ClientState, of, updated
from fedbench.federation.executors import Executor
from fedbench.federation.ledger import exceeded, round_costs
from fedbench.federation.local import LocalWork, Tick, Trained, no_tick
from fedbench.federation.plan import plan
from fedbench.federation.run_state import RunState
from fedbench.federation.schedule import LeftOut, cohort
from fedbench.federation.setup import FederationSetup
from fedbench.federation.updates import Updates, clients_of, cohort_of, finite, joined, rebased, rows, sent
from fedbench.params import digest, own
from fedbench.rng import torch_stream


@dataclass(frozen=True)
class Round:
    """A finished round.

    ``after``: where the run stands after it. ``cohort``: the clients called. ``left_out``: the clients whose
    update of this round was not used in it, and why. ``came_late``: those whose update of the round before
    was used. ``attackers``: those who sent something else than what they had learnt. ``loss``: the mean
    training loss over the examples, None if nobody trained. ``digest``: of the models that are evaluated.
    ``diagnostics``: what the method says of its aggregation.
    """

    after: RunState
    cohort: tuple[int, ...]
    left_out: Mapping[int, LeftOut]
    came_late: tuple[int, ...]
    attackers: tuple[int, ...]
    loss: float | None
    digest: str
    costs: Costs
    diagnostics: Mapping[str, Any]


@dataclass(frozen=True)
class Call:
    """A round's ``cohort``, the ``work`` of those who can take part, and why the others are ``left_out``."""

    cohort: tuple[int, ...]
    work: Sequence[LocalWork]
    left_out: Mapping[int, LeftOut]


@dataclass(frozen=True)
class Received:
    """What the server has at the end of a round: ``usable`` updates, ``late`` ones that the next round takes,
    and why the others are ``left_out``."""

    usable: Updates
    late: Updates
    left_out: Mapping[int, LeftOut]


def federate(
    setup: FederationSetup,
    executor: Executor,
    state: RunState,
    *,
    tick: Tick = no_tick,
    clock: Callable[[], float] = time.perf_counter,
) -> Iterator[Round]:
    """Run the rounds after ``state.round``, giving each as it ends.

    The engine alone samples the cohort, derives the streams, plays the faults, leaves out updates that are
    missing, empty, late or not finite, and counts bytes, examples and seconds. With no update left a round
    keeps the server's state; a client whose update did not arrive keeps its own. A round that would exceed
    the budget is not begun.
    """
    space, method = setup.task.space, setup.aggregator
    for number in range(state.round + 1, setup.federation.rounds + 1):
        # 1. Call a cohort.
        called = call(setup, state, number)
        work = called.work
        if exceeded(setup.budget, state.spent + round_costs(space, method, work, reports=0)):
            return
        began = clock()
        # 2. Broadcast to those who can take part.
        start = broadcast(setup, state, work)
        # 3. Train them; what they send may be tampered with.
        rule_for = partial(_local_rule, setup, state)
        trained = executor.train(setup.task, start, work, rule_for, setup.training, tick=tick)
        updates = setup.fault_model.tampered(number, sent(work, start, trained, setup.training))
        trained_at = clock()
        # 4. Receive what arrives in time, and what was late the round before.
        received = receive(setup, state, number, updates)
        # 5. Aggregate.
        new_state, new_client_state = aggregate(setup, state, number, received.usable)
        # 6. Account.
        costs = round_costs(space, method, work, len(trained.reports)) + Costs(
            client_seconds=trained_at - began, server_seconds=clock() - trained_at
        )
        came_late = clients_of(state.late)
        state = RunState(
            round=number,
            state=new_state,
            client_state=new_client_state,
            late=received.late,
            spent=state.spent + costs,
        )
        yield Round(
            after=state,
            cohort=called.cohort,
            left_out={**called.left_out, **received.left_out},
            came_late=came_late,
            attackers=tuple(sorted(setup.fault_model.byzantine & {item.client for item in work})),
            loss=_mean_loss(work, trained),
            digest=digest(setup.models(new_state)),
            costs=costs,
            diagnostics=dict(method.diagnostics(new_state)),
        )


def call(setup: FederationSetup, state: RunState, number: int) -> Call:
    """Who is called in round ``number``, what each does, and who can't take part."""
    clients = cohort(setup.seed, number, setup.clients, setup.federation.cohort)
    work = plan(setup, clients, number)
    left_out = {item.client: LeftOut.NO_EXAMPLES for item in work if not len(item.examples)}
    left_out |= dict.fromkeys(setup.fault_model.dropped(number, clients), LeftOut.DROPPED_OUT)
    left_out |= {client: LeftOut.STILL_BUSY for client in clients_of(state.late) if client in clients}
    able = [item for item in work if item.client not in left_out]
    return Call(
        cohort=clients,
        work=setup.fault_model.poisoned(able, setup.label_flip_offset),
        left_out=left_out,
    )


def broadcast(setup: FederationSetup, state: RunState, work: Sequence[LocalWork]) -> Tensor:
    """The parameters that each client of ``work`` starts from, [C, P]."""
    if not work:
        return torch.empty(0, setup.task.space.size, device=setup.task.device)
    return torch.stack([setup.aggregator.params_for(state.state, item.client) for item in work])


def receive(setup: FederationSetup, state: RunState, number: int, updates: Updates) -> Received:
    """Sort out the round's ``updates``, and take those that were late the round before."""
    fault_model, ids = setup.fault_model, clients_of(updates)
    sound = finite(updates)
    late = fault_model.late(number, ids)
    behind = torch.tensor([client in late for client in ids], dtype=torch.bool, device=sound.device)
    waits = fault_model.spec.late == "next-round"
    left_out = dict.fromkeys(sorted(late), LeftOut.LATE_FOR_NEXT if waits else LeftOut.LATE)
    left_out |= {client: LeftOut.NOT_FINITE for client, ok in zip(ids, sound.tolist(), strict=True) if not ok}
    before = rebased(state.late, partial(setup.aggregator.params_for, state.state))
    return Received(
        usable=joined(before, rows(updates, sound & ~behind)),
        late=rows(updates, sound & behind) if waits else {},
        left_out=left_out,
    )


def aggregate(
    setup: FederationSetup, state: RunState, number: int, usable: Updates
) -> tuple[State, ClientState]:
    """The server's and the clients' state after merging ``usable``; unchanged if that is empty."""
    if not usable:
        return state.state, state.client_state
    stream = partial(torch_stream, setup.seed, "method", number)
    merged = cohort_of(usable, number, setup.task.space, stream, state.client_state)
    new = own(setup.aggregator.aggregate(state.state, merged))
    return new, updated(state.client_state, merged.clients, merged.client_state)


def _local_rule(setup: FederationSetup, state: RunState, ids: Sequence[int]) -> LocalRule:
    return setup.aggregator.local_rule(state.state, of(state.client_state, ids))


def _mean_loss(work: Sequence[LocalWork], trained: Trained) -> float | None:
    """Over the examples of the clients whose loss is a number."""
    counts = torch.tensor([len(item.examples) for item in work], dtype=torch.float64)
    losses = trained.loss.cpu().double()
    ok = losses.isfinite()
    return float((losses[ok] * counts[ok]).sum() / counts[ok].sum()) if ok.any() else None
