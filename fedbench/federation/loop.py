"""``federate()``: the one round loop. Call, broadcast, train, receive, aggregate, account; finish."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from math import ceil
from typing import Any

import torch
from torch import Tensor

from fedbench.api.metrics import Costs
from fedbench.federation.client_state import FINISHED, PARAMS, updated
from fedbench.federation.executors import Executor
from fedbench.federation.gathering import Gathering, sums_in_parts
from fedbench.federation.ledger import examples_of, exceeded, round_costs
from fedbench.federation.local import LocalWork, Tick, Trained, no_tick
from fedbench.federation.phases import train_phases
from fedbench.federation.plan import PhaseWork, in_phases, plan, plan_end
from fedbench.federation.run_state import RunState
from fedbench.federation.schedule import LeftOut, cohort
from fedbench.federation.setup import FederationSetup
from fedbench.federation.updates import clients_of, updates_of
from fedbench.params import digest, own

CLIENTS_IN_A_PART = 16
"""Clients that are trained, at least, before what they send is added up."""


@dataclass(frozen=True)
class Round:
    """A finished round.

    ``after``: where the run stands after it. ``cohort``: the clients called. ``left_out``: the clients whose
    update of this round was not used in it, and why. ``came_late``: those whose update of the round before
    was used. ``attackers``: those who sent something else than what they had learnt. ``loss``: the mean
    training loss over the examples, None if nobody trained. ``digest``: of the models that are evaluated.
    ``diagnostics``: what the method says of its aggregation. ``moved``: the numbers that its move of the
    frozen base takes to send.
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
    moved: int


@dataclass(frozen=True)
class Call:
    """A round's number and ``cohort``, the ``work`` of those who can take part, as a whole and in ``phases``,
    and why the others are ``left_out``."""

    round: int
    cohort: tuple[int, ...]
    work: Sequence[LocalWork]
    phases: Sequence[PhaseWork]
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
        began, trained_for = clock(), 0.0
        workers = clients_at(work)
        gathering = Gathering(setup, state, number, in_parts=sums_in_parts(setup, len(work)))
        losses: list[Tensor] = []
        for rows in parts(executor, len(work), in_parts=gathering.in_parts):
            training_began = clock()
            # 2. Broadcast to those who can take part.
            sent = broadcast(setup, state, work[rows])
            # 3. Train them; what they send may be tampered with.
            start = with_kept(setup, state, work[rows], sent)
            phases = [phase.part(rows) for phase in called.phases]
            trained = train_phases(setup, executor, state, start, phases, tick=tick)
            _check_sent(setup, work[rows], trained)
            updates = updates_of(work[rows], sent, trained, setup.division)
            updates = setup.fault_model.tampered(number, updates)
            losses.append(trained.loss)
            trained_for += clock() - training_began
            # 4. Receive what arrives in time.
            gathering.take(updates)
        # 5. Aggregate.
        new_state, new_client_state = gathering.merge()
        moved = state.moved.sent_to(workers)
        if new_state is not state.state:
            moved = moved.after(setup.aggregator.base_update(new_state), setup.task.bases)
        # 6. Account.
        costs = round_costs(setup, state, workers, called.phases) + Costs(
            client_seconds=trained_for, server_seconds=clock() - began - trained_for
        )
        came_late, moved_before = clients_of(state.late), state.moved.numbers
        state = RunState(
            round=number,
            state=new_state,
            client_state=new_client_state,
            late=gathering.late,
            spent=state.spent + costs,
            moved=moved,
            took_part={**state.took_part, **dict.fromkeys(workers, number)} if setup.traffic.turns else {},
        )
        # 7. After the last round, let every client go on with the model by itself.
        following = next_call(setup, state)
        if setup.end_phases and not following:
            state, more = finish(setup, executor, state, tick=tick, clock=clock)
            costs += more
        yield Round(
            after=state,
            cohort=called.cohort,
            left_out={**called.left_out, **gathering.left_out},
            came_late=came_late,
            attackers=tuple(sorted(setup.fault_model.byzantine & {item.client for item in work})),
            loss=_mean_loss(work, torch.cat(losses)),
            digest=digest(setup.models(state)),
            costs=costs,
            diagnostics=dict(setup.aggregator.diagnostics(new_state)),
            moved=moved.numbers - moved_before,
        )


def next_call(setup: FederationSetup, state: RunState) -> Call | None:
    """The call of the next round; None if there is none, or it would exceed the budget."""
    if state.round == setup.federation.rounds:
        return None
    called = call(setup, state, state.round + 1)
    price = round_costs(setup, state, clients_at(called.work), called.phases)
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


def clients_at(work: Sequence[LocalWork]) -> list[int]:
    """The clients that ``work`` is for."""
    return [item.client for item in work]


def parts(executor: Executor, clients: int, *, in_parts: bool) -> Iterator[slice]:
    """Which clients are trained before what they send is taken in: all, or some passes' at a time."""
    size = executor.chunk * ceil(CLIENTS_IN_A_PART / executor.chunk) if in_parts else max(1, clients)
    yield from (slice(first, first + size) for first in range(0, max(1, clients), size))


def broadcast(setup: FederationSetup, state: RunState, work: Sequence[LocalWork]) -> Tensor:
    """The parameters that each client of ``work`` is sent, [C, S]; one row in memory if all are the same."""
    if not work:
        return torch.empty(0, setup.division.travelling.size, device=setup.task.device)
    sent = [setup.aggregator.params_for(state.state, item.client) for item in work]
    same = all(params is sent[0] for params in sent)
    rows = sent[0].expand(len(sent), -1) if same else torch.stack(sent)
    return setup.held(clients_at(work), rows, setup.division.travelling)


def with_kept(setup: FederationSetup, state: RunState, work: Sequence[LocalWork], sent: Tensor) -> Tensor:
    """The parameters that each client of ``work`` starts from, [C, P]: ``sent`` [C, S] and its own."""
    if not setup.division.staying.size:
        return sent
    ids = clients_at(work)
    return setup.held(ids, setup.division.joined(sent, state.client_state[PARAMS][ids]), setup.task.space)


def finish(
    setup: FederationSetup, executor: Executor, state: RunState, *, tick: Tick, clock: Callable[[], float]
) -> tuple[RunState, Costs]:
    """Let every client make a model of its own of the last one; a client whose is not finite keeps that."""
    began, models = clock(), setup.trained(state)
    phases = in_phases(setup, plan_end(setup), setup.end_phases, None)
    ids = torch.tensor(clients_at(phases[0].work), device=models.device)
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


def _mean_loss(work: Sequence[LocalWork], losses: Tensor) -> float | None:
    """Over the examples of the clients whose loss is a number."""
    counts = torch.tensor([len(item.examples) for item in work], dtype=torch.float64)
    losses = losses.cpu().double()
    ok = losses.isfinite()
    return float((losses[ok] * counts[ok]).sum() / counts[ok].sum()) if ok.any() else None
