"""``federate()``: the one round loop. Broadcast, train locally, aggregate, account."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
import torch
from torch import Tensor

from fedbench.api.aggregator import Aggregator, LocalRule, State
from fedbench.api.metrics import Costs
from fedbench.api.scenario import Budget, Faults, Federation, Training
from fedbench.federation.client_state import ClientState, fresh, of, updated
from fedbench.federation.executors import Executor
from fedbench.federation.faults import FaultModel
from fedbench.federation.ledger import exceeded, round_costs
from fedbench.federation.local import LocalWork, Tick, Trained, steps_of
from fedbench.federation.schedule import NO_FAULTS, cohort, one_pass_parts, turns
from fedbench.federation.task import Task
from fedbench.federation.updates import Updates, clients_of, cohort_of, finite, joined, rebased, rows, sent
from fedbench.params import digest, own
from fedbench.rng import torch_stream

NOTHING, NO_LIMIT = Costs(), Budget()
NOBODY: Updates = {}


@dataclass(frozen=True)
class Round:
    """A finished round. ``loss`` is the examples' mean training loss (None if nobody trained);
    ``left_out`` says which clients' updates were not used and why; ``came_late`` whose update of the round
    before was; ``attackers`` who sent something else than what it had learnt; ``late`` are the updates that
    the next round takes; ``digest`` is of what is evaluated."""

    number: int
    state: State
    client_state: ClientState
    late: Updates
    cohort: tuple[int, ...]
    left_out: dict[int, str]
    came_late: tuple[int, ...]
    attackers: tuple[int, ...]
    loss: float | None
    digest: str
    costs: Costs
    diagnostics: dict[str, Any]


def evaluated(aggregator: Aggregator, state: State, clients: int) -> Tensor:
    """What is evaluated: the global parameters [1, P], or every client's own [N, P]."""
    if aggregator.personalised:
        return torch.stack([aggregator.params_for(state, client) for client in range(clients)])
    return aggregator.params_for(state)[None]


def plan(
    shards: Sequence[np.ndarray],
    clients: Sequence[int],
    round: int,
    rounds: int,
    training: Training,
    seed: int,
    size: int | None = None,
) -> list[LocalWork]:
    """What each of ``clients``, who all take part in ``round`` (from 1), does in it. ``size`` of a cohort."""
    work = []
    for client in clients:
        mine = turns(seed, client, len(shards), size, rounds)
        turn = mine.index(round)
        parts = one_pass_parts(shards[client], seed, client, len(mine))
        order = torch.randperm(len(parts[turn]), generator=torch_stream(seed, "client", round, client))
        steps = [steps_of(len(part), training) for part in parts]
        before, total = (sum(steps[:turn]), sum(steps)) if training.one_schedule else (0, steps[turn])
        work.append(LocalWork(client, parts[turn][order.numpy()], before, total))
    return work


def federate(
    task: Task,
    aggregator: Aggregator,
    state: State,
    shards: Sequence[np.ndarray],
    federation: Federation,
    training: Training,
    executor: Executor,
    *,
    seed: int,
    after: int = 0,
    client_state: ClientState | None = None,
    late: Updates = NOBODY,
    spent: Costs = NOTHING,
    budget: Budget = NO_LIMIT,
    faults: Faults | None = None,
    label_flip_offset: int = 0,
    tick: Tick = lambda examples, loss: None,
    clock: Callable[[], float] = time.perf_counter,
) -> Iterator[Round]:
    """Run the rounds after round ``after`` from ``state``, giving each as it ends.

    The engine alone samples the cohort, derives the streams, plays the faults, leaves out updates that are
    missing, empty, late or not finite, and counts bytes, examples and seconds. With nobody left a round keeps
    the state. A round that would take ``spent`` beyond ``budget`` is not begun. ``client_state`` is what
    the clients
    keep so far; those whose update did not arrive keep what they had. ``late`` are updates of the round
    before; ``label_flip_offset`` is how far on an example's wrongly labelled twin lies.
    """
    if client_state is None:
        client_state = fresh(aggregator.initial_client_state(aggregator.params_for(state)), len(shards))
    fault_model = FaultModel(faults if faults and aggregator.communicates else NO_FAULTS, seed, len(shards))
    for number in range(after + 1, federation.rounds + 1):
        clients = cohort(seed, number, len(shards), federation.cohort)
        work = plan(shards, clients, number, federation.rounds, training, seed, federation.cohort)
        left_out = {item.client: "no examples" for item in work if not len(item.examples)}
        left_out |= dict.fromkeys(fault_model.dropped(number, clients), "dropped out")
        left_out |= {client: "still at the round before" for client in clients_of(late) if client in clients}
        work = fault_model.poisoned([item for item in work if item.client not in left_out], label_flip_offset)
        if exceeded(budget, spent + round_costs(task.space, aggregator, work, reports=0)):
            return
        costs, loss, begin = NOTHING, None, clock()
        arrived, late = rebased(late, partial(aggregator.params_for, state)), NOBODY
        came_late = clients_of(arrived)
        if work:
            start = torch.stack([aggregator.params_for(state, item.client) for item in work])
            rule_for = partial(_rule, aggregator, state, client_state)
            trained = executor.train(task, start, work, rule_for, training, tick)
            loss = _mean_loss(work, trained)
            updates = fault_model.tampered(number, sent(work, start, trained, training))
            trained_at = clock()
            in_time, late = _sorted_out(updates, fault_model, number, left_out)
            arrived = joined(arrived, in_time)
            costs = round_costs(task.space, aggregator, work, len(trained.reports)) + Costs(
                client_seconds=trained_at - begin
            )
        begin = clock()
        if arrived:
            stream = partial(torch_stream, seed, "method", number)
            usable = cohort_of(arrived, number, task.space, stream, client_state)
            state = own(aggregator.aggregate(state, usable))
            client_state = updated(client_state, usable.clients, usable.client_state)
        costs += Costs(server_seconds=clock() - begin)
        spent += costs
        yield Round(
            number, state, client_state, late, clients, left_out, came_late,
            tuple(sorted(fault_model.byzantine & {item.client for item in work})), loss,
            digest(evaluated(aggregator, state, len(shards))), costs, dict(aggregator.diagnostics(state)),
        )  # fmt: skip


def _mean_loss(work: Sequence[LocalWork], trained: Trained) -> float | None:
    """Over the examples of the clients whose loss is a number."""
    counts = torch.tensor([len(item.examples) for item in work], dtype=torch.float64)
    losses = trained.loss.cpu().double()
    ok = losses.isfinite()
    return float((losses[ok] * counts[ok]).sum() / counts[ok].sum()) if ok.any() else None


def _sorted_out(
    updates: Updates, fault_model: FaultModel, number: int, left_out: dict[int, str]
) -> tuple[Updates, Updates]:
    """The updates to use now and those to use in the next round; the rest is noted in ``left_out``."""
    ids = clients_of(updates)
    sound = finite(updates)
    late = fault_model.late(number, ids)
    behind = torch.tensor([client in late for client in ids], device=sound.device)
    waits = fault_model.spec.late == "next-round"
    left_out |= dict.fromkeys(sorted(late), "late, for the next round" if waits else "late")
    left_out |= {client: "not finite" for client, ok in zip(ids, sound.tolist(), strict=True) if not ok}
    return rows(updates, sound & ~behind), rows(updates, sound & behind) if waits else NOBODY


def _rule(aggregator: Aggregator, state: State, client_state: ClientState, ids: Sequence[int]) -> LocalRule:
    return aggregator.local_rule(state, of(client_state, ids))
