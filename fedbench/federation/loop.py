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

from fedbench.federation.executors import Executor
from fedbench.federation.local import LocalWork, Tick, Trained, steps_of
from fedbench.federation.sampling import cohort, one_pass_part
from fedbench.federation.task import Task
from fedbench.measures import Costs
from fedbench.methods import Aggregator, Cohort, State
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
        parts = [one_pass_part(shards[client], seed, client, r, rounds) for r in range(1, rounds + 1)]
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
    spent: Costs = NOTHING,
    budget: Budget = NO_LIMIT,
    tick: Tick = lambda examples, loss: None,
    clock: Callable[[], float] = time.perf_counter,
) -> Iterator[Round]:
    """Run the rounds after round ``after`` from ``state``, giving each as it ends.

    The engine alone samples the cohort, derives the streams, leaves out updates that are empty or not
    finite, and counts bytes, examples and seconds. With nobody left a round keeps the state. A round that
    would take ``spent`` beyond ``budget`` is not begun.
    """
    for number in range(after + 1, federation.rounds + 1):
        clients = cohort(seed, number, len(shards), federation.cohort)
        work = plan(shards, clients, number, federation.rounds, training, seed)
        left_out = {item.client: "no examples" for item in work if not len(item.examples)}
        work = [item for item in work if item.client not in left_out]
        ahead = _costs(task, aggregator, work, reports=0)
        if exceeded(budget, spent + ahead):
            return
        costs, loss, begin = NOTHING, None, clock()
        if work:
            start = torch.stack([aggregator.params_for(state, item.client) for item in work])
            trained = executor.train(task, start, work, partial(aggregator.local_rule, state), training, tick)
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
                state = aggregator.aggregate(
                    state, _cohort(task, number, work, start, trained, finite, training, seed)
                )
            costs = _costs(task, aggregator, work, len(trained.reports)) + Costs(
                client_seconds=trained_at - begin, server_seconds=clock() - trained_at
            )
            spent += costs
        yield Round(
            number, state, clients, left_out, loss,
            digest(evaluated(aggregator, state, len(shards))), costs, dict(aggregator.diagnostics(state)),
        )  # fmt: skip


def _finite(trained: Trained) -> list[bool]:
    ok = trained.params.isfinite().all(1)
    for report in trained.reports.values():
        ok &= report.isfinite()
    return ok.tolist()


def _cohort(
    task: Task,
    number: int,
    work: Sequence[LocalWork],
    start: Tensor,
    trained: Trained,
    finite: Sequence[bool],
    training: Training,
    seed: int,
) -> Cohort:
    kept = torch.tensor(finite, device=start.device)
    used = [item for item, ok in zip(work, finite, strict=True) if ok]
    return Cohort(
        round=number,
        clients=tuple(item.client for item in used),
        params=trained.params[kept],
        start=start[kept],
        num_examples=torch.tensor([len(item.examples) for item in used], device=start.device),
        steps=torch.tensor([steps_of(len(item.examples), training) for item in used], device=start.device),
        reports={name: values[kept] for name, values in trained.reports.items()},
        space=task.space,
        stream=lambda *names: torch_stream(seed, "method", number, *names),
    )


def exceeded(budget: Budget, spent: Costs) -> str:
    """The limit that ``spent`` is beyond, or nothing."""
    limits = {
        "examples": (budget.examples, spent.client_examples),
        "uplink_bytes": (budget.uplink_bytes, spent.uplink_bytes),
    }
    return next((name for name, (limit, used) in limits.items() if limit is not None and used > limit), "")


def _costs(task: Task, aggregator: Aggregator, work: Sequence[LocalWork], reports: int) -> Costs:
    examples = sum(len(item.examples) for item in work)
    if not aggregator.communicates:
        return Costs(client_examples=examples)
    return Costs(
        uplink_bytes=len(work) * (task.space.nbytes + 4 * reports),
        downlink_bytes=len(work) * task.space.nbytes,
        client_examples=examples,
    )
