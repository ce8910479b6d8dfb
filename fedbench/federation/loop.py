"""``federate()``: the one round loop. Call, broadcast, train, receive, aggregate, account; finish."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, cast

import torch
from torch import Tensor

from fedbench.api.aggregator import State
from fedbench.api.cohort import Cohort
from fedbench.api.metrics import Costs
from fedbench.federation.client_state import FINISHED, PARAMS, ClientState, updated
from fedbench.federation.cohort_sums import CohortSums
from fedbench.federation.executors import Executor
from fedbench.federation.ledger import examples_of, exceeded, round_costs
from fedbench.federation.local import LocalWork, Tick, Trained, no_tick
from fedbench.federation.phases import train_phases
from fedbench.federation.plan import PhaseWork, in_phases, plan, plan_end
from fedbench.federation.run_state import RunState
from fedbench.federation.schedule import LeftOut, cohort
from fedbench.federation.setup import FederationSetup
from fedbench.federation.updates import (
    CLIENT_STATE,
    Updates,
    clients_of,
    cohort_of,
    finite,
    joined,
    named,
    rebased,
    rows,
    updates_of,
)
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
    """A round's number and ``cohort``, the ``work`` of those who can take part, as a whole and in ``phases``,
    and why the others are ``left_out``."""

    round: int
    cohort: tuple[int, ...]
    work: Sequence[LocalWork]
    phases: Sequence[PhaseWork]
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
    following = next_call(setup, state)
    while following:
        # 1. Call a cohort.
        called, number, work = following, following.round, following.work
        began = clock()
        # 2. Broadcast to those who can take part.
        sent = broadcast(setup, state, work)
        # 3. Train them; what they send may be tampered with.
        start = with_kept(setup, state, work, sent)
        trained = train_phases(setup, executor, state, start, called.phases, tick=tick)
        _check_sent(setup, work, trained)
        updates = updates_of(work, sent, trained, setup.division)
        updates = setup.fault_model.tampered(number, updates)
        trained_at = clock()
        # 4. Receive what arrives in time, and what was late the round before.
        received = receive(setup, state, number, updates)
        # 5. Aggregate.
        new_state, new_client_state = aggregate(setup, state, number, received.usable)
        # 6. Account.
        costs = round_costs(setup, len(work), called.phases) + Costs(
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
        # 7. After the last round, let every client go on with the model by itself.
        following = next_call(setup, state)
        if setup.end_phases and not following:
            state, more = finish(setup, executor, state, tick=tick, clock=clock)
            costs += more
        yield Round(
            after=state,
            cohort=called.cohort,
            left_out={**called.left_out, **received.left_out},
            came_late=came_late,
            attackers=tuple(sorted(setup.fault_model.byzantine & {item.client for item in work})),
            loss=_mean_loss(work, trained),
            digest=digest(setup.models(state)),
            costs=costs,
            diagnostics=dict(setup.aggregator.diagnostics(new_state)),
        )


def next_call(setup: FederationSetup, state: RunState) -> Call | None:
    """The call of the next round; None if there is none, or it would exceed the budget."""
    if state.round == setup.federation.rounds:
        return None
    called = call(setup, state, state.round + 1)
    price = round_costs(setup, len(called.work), called.phases)
    if setup.end_phases:
        at_end = in_phases(setup, plan_end(setup), setup.end_phases, None)
        price += Costs(client_examples=examples_of(at_end))
    return None if exceeded(setup.budget, state.spent + price) else called


def call(setup: FederationSetup, state: RunState, number: int) -> Call:
    """Who is called in round ``number``, what each does, and who can't take part."""
    clients = cohort(setup.seed, number, setup.clients, setup.federation.cohort)
    work = plan(setup, clients, number)
    left_out = {item.client: LeftOut.NO_EXAMPLES for item in work if not len(item.examples)}
    left_out |= dict.fromkeys(setup.fault_model.dropped(number, clients), LeftOut.DROPPED_OUT)
    left_out |= {client: LeftOut.STILL_BUSY for client in clients_of(state.late) if client in clients}
    able = [item for item in work if item.client not in left_out]
    honest_or_not = setup.fault_model.poisoned(able, setup.label_flip_offset)
    return Call(
        round=number,
        cohort=clients,
        work=honest_or_not,
        phases=in_phases(setup, honest_or_not, setup.phases, number),
        left_out=left_out,
    )


def broadcast(setup: FederationSetup, state: RunState, work: Sequence[LocalWork]) -> Tensor:
    """The parameters that each client of ``work`` is sent, [C, S]."""
    if not work:
        return torch.empty(0, setup.division.travelling.size, device=setup.task.device)
    return torch.stack([setup.aggregator.params_for(state.state, item.client) for item in work])


def with_kept(setup: FederationSetup, state: RunState, work: Sequence[LocalWork], sent: Tensor) -> Tensor:
    """The parameters that each client of ``work`` starts from, [C, P]: ``sent`` [C, S] and its own."""
    if not setup.division.staying.size:
        return sent
    return setup.division.joined(sent, state.client_state[PARAMS][[item.client for item in work]])


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
    method, stream = setup.aggregator, partial(torch_stream, setup.seed, "method", number)
    cohort = cohort_of(usable, number, setup.division.travelling, stream)
    # A method that needs sums is written for a CohortSum, which every Cohort is, but not the other way round.
    shown = cohort if method.needs == "updates" else cast(Cohort, CohortSums.of(cohort))
    new = method.aggregate(state.state, shown)
    return own(new), updated(state.client_state, cohort.clients, named(usable, CLIENT_STATE))


def finish(
    setup: FederationSetup, executor: Executor, state: RunState, *, tick: Tick, clock: Callable[[], float]
) -> tuple[RunState, Costs]:
    """Let every client make a model of its own of the last one; a client whose is not finite keeps that."""
    began, models = clock(), setup.models(state)
    phases = in_phases(setup, plan_end(setup), setup.end_phases, None)
    ids = torch.tensor([item.client for item in phases[0].work], device=models.device)
    trained = train_phases(setup, executor, state, models[ids], phases, tick=tick)
    if trained.sent:
        raise ValueError(f"its clients send {', '.join(trained.sent)} after the last round")
    sound = trained.params.isfinite().all(1)
    kept = {name: vectors[sound] for name, vectors in trained.client_state.items()}
    client_state = dict(updated(state.client_state, ids[sound].tolist(), kept))
    if not all(phase.copy for phase in setup.end_phases):
        client_state[FINISHED] = models.index_copy(0, ids[sound], trained.params[sound])
    costs = Costs(client_examples=examples_of(phases), client_seconds=clock() - began)
    return replace(state, client_state=own(client_state), spent=state.spent + costs), costs


def _check_sent(setup: FederationSetup, work: Sequence[LocalWork], trained: Trained) -> None:
    """Refuse what clients send beside parameters if it is not what the method declares."""
    declared = {name: tuple(shape) for name, shape in setup.traffic.up.items()}
    sent = {name: tuple(values.shape[1:]) for name, values in trained.sent.items()}
    if work and sent != declared:
        raise ValueError(f"beside parameters its clients send {sent}, but it declares {declared}")


def _mean_loss(work: Sequence[LocalWork], trained: Trained) -> float | None:
    """Over the examples of the clients whose loss is a number."""
    counts = torch.tensor([len(item.examples) for item in work], dtype=torch.float64)
    losses = trained.loss.cpu().double()
    ok = losses.isfinite()
    return float((losses[ok] * counts[ok]).sum() / counts[ok].sum()) if ok.any() else None
