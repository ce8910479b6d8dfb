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

from fedbench.federation.clients import Kept, fresh, of, updated
from fedbench.federation.executors import Executor
from fedbench.federation.ledger import exceeded, round_costs
from fedbench.federation.local import LocalWork, Tick, Trained, steps_of
from fedbench.federation.sampling import cohort, one_pass_parts
from fedbench.federation.task import Task
from fedbench.measures import Costs
from fedbench.methods import Aggregator, Cohort, LocalRule, State
from fedbench.params import digest
from fedbench.rng import torch_stream
from fedbench.scenario import Budget, Federation, Training

NOTHING, NO_LIMIT = Costs(), Budget()


@dataclass(frozen=True)
class Round:
    """A finished round. ``loss`` is the examples' mean training loss (None if nobody trained);
    ``left_out`` says which clients' updates were not used and why; ``digest`` is of what is evaluated."""

    number: int
    state: State
    kept: Kept
    cohort: tuple[int, ...]
    left_out: dict[int, str]
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
) -> list[LocalWork]:
    """What each of ``clients`` does in ``round`` (from 1)."""
    work = []
    for client in clients:
        parts = one_pass_parts(shards[client], seed, client, rounds)
        order = torch.randperm(len(parts[round - 1]), generator=torch_stream(seed, "client", round, client))
        steps = [steps_of(len(part), training) for part in parts]
        before, total = (
            (sum(steps[: round - 1]), sum(steps)) if training.one_schedule else (0, steps[round - 1])
        )
        work.append(LocalWork(client, parts[round - 1][order.numpy()], before, total))
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
    kept: Kept | None = None,
    spent: Costs = NOTHING,
    budget: Budget = NO_LIMIT,
    tick: Tick = lambda examples, loss: None,
    clock: Callable[[], float] = time.perf_counter,
) -> Iterator[Round]:
    """Run the rounds after round ``after`` from ``state``, giving each as it ends.

    The engine alone samples the cohort, derives the streams, leaves out updates that are empty or not
    finite, and counts bytes, examples and seconds. With nobody left a round keeps the state. A round that
    would take ``spent`` beyond ``budget`` is not begun. ``kept`` is what the clients kept so far; those whose
    update did not arrive keep what they had.
    """
    if kept is None:
        kept = fresh(aggregator.keep(aggregator.params_for(state)), len(shards))
    for number in range(after + 1, federation.rounds + 1):
        clients = cohort(seed, number, len(shards), federation.cohort)
        work = plan(shards, clients, number, federation.rounds, training, seed)
        left_out = {item.client: "no examples" for item in work if not len(item.examples)}
        work = [item for item in work if item.client not in left_out]
        if exceeded(budget, spent + round_costs(task.space, aggregator, work, reports=0)):
            return
        costs, loss, begin = NOTHING, None, clock()
        if work:
            start = torch.stack([aggregator.params_for(state, item.client) for item in work])
            rule_for = partial(_rule, aggregator, state, kept)
            trained = executor.train(task, start, work, rule_for, training, tick)
            examples = sum(len(item.examples) for item in work)
            shares = torch.tensor([len(item.examples) / examples for item in work], dtype=torch.float64)
            mean_loss = float(trained.loss.cpu().double() @ shares)
            loss = mean_loss if np.isfinite(mean_loss) else None
            finite = _finite(trained)
            left_out |= {
                item.client: "update is not finite" for item, ok in zip(work, finite, strict=True) if not ok
            }
            trained_at = clock()
            if any(finite):
                arrived = _cohort(task, number, work, start, trained, finite, training, seed, kept)
                state = aggregator.aggregate(state, arrived)
                kept = updated(kept, arrived.clients, arrived.kept)
            costs = round_costs(task.space, aggregator, work, len(trained.reports)) + Costs(
                client_seconds=trained_at - begin, server_seconds=clock() - trained_at
            )
            spent += costs
        yield Round(
            number, state, kept, clients, left_out, loss,
            digest(evaluated(aggregator, state, len(shards))), costs, dict(aggregator.diagnostics(state)),
        )  # fmt: skip


def _finite(trained: Trained) -> list[bool]:
    ok = trained.params.isfinite().all(1)
    for report in trained.reports.values():
        ok &= report.isfinite()
    for vectors in trained.kept.values():
        ok &= vectors.isfinite().all(1)
    return ok.tolist()


def _rule(aggregator: Aggregator, state: State, kept: Kept, ids: Sequence[int]) -> LocalRule:
    return aggregator.local_rule(state, of(kept, ids))


def _cohort(
    task: Task,
    number: int,
    work: Sequence[LocalWork],
    start: Tensor,
    trained: Trained,
    finite: Sequence[bool],
    training: Training,
    seed: int,
    kept: Kept,
) -> Cohort:
    ok = torch.tensor(finite, device=start.device)
    used = [item for item, fine in zip(work, finite, strict=True) if fine]
    clients = tuple(item.client for item in used)
    return Cohort(
        round=number,
        clients=clients,
        params=trained.params[ok],
        start=start[ok],
        num_examples=torch.tensor([len(item.examples) for item in used], device=start.device),
        steps=torch.tensor([steps_of(len(item.examples), training) for item in used], device=start.device),
        reports={name: values[ok] for name, values in trained.reports.items()},
        space=task.space,
        stream=lambda *names: torch_stream(seed, "method", number, *names),
        kept={name: vectors[ok] for name, vectors in trained.kept.items()},
        kept_before=of(kept, clients).kept,
    )
