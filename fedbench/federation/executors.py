"""Executors: how many clients are trained at once. All give the same parameters up to rounding."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import cast, get_args

import numpy as np
import torch
from torch import Tensor

from fedbench.api.local_rule import LocalRule
from fedbench.api.scenario import Training
from fedbench.federation.executor_choice import ChosenBy, ExecutorName, chunk_by_rule, parse_executor
from fedbench.federation.local import LocalWork, Tick, Trained, WholeCohort, no_tick, train_clients
from fedbench.federation.task import Task
from fedbench.federation.updates import CLIENT_STATE, SENT, named
from fedbench.federation.workers import check_workers, in_workers, shared_like

RuleFor = Callable[[Sequence[int], Tensor], LocalRule]
"""``rule_for(clients, start [C, P])``: what these clients add when they train from ``start``."""


def no_rule(clients: Sequence[int], start: Tensor) -> LocalRule:
    """The rule that adds nothing, for any clients."""
    return LocalRule()


WORTH_IT = 1.15
"""``fastest`` leaves the serial reference only for a gain clearly above a machine's noise."""

CHOSEN_BY: Mapping[ExecutorName, ChosenBy] = {
    "auto": "rule",
    "serial": "name",
    "batched": "name",
    "fastest": "measurement",
}
"""What each name leaves the choice to."""


@dataclass
class Executor:
    """Trains a cohort in chunks of ``chunk`` clients; out of memory, it halves the chunk and goes on."""

    name: str
    """``serial``, ``batched`` or ``workers``."""
    chunk: int
    """Clients in one pass, at most."""
    chosen: ChosenBy = "name"
    """How the run came to it."""
    workers: int = 0
    """Processes that share the clients, each on one thread; 0: none but this one."""

    @classmethod
    def as_saved(cls, note: Mapping[str, object]) -> Executor:
        """Make the one that a checkpoint noted."""
        chosen = next(way for way in get_args(ChosenBy) if way == note["chosen"])
        chunk, workers = int(str(note["chunk"])), int(str(note["workers"]))
        return cls(name=str(note["name"]), chunk=chunk, chosen=chosen, workers=workers)

    @property
    def word(self) -> str:
        """What ``--executor`` takes for it, whatever it was chosen by."""
        if self.workers:
            return f"workers:{self.workers}"
        return f"batched:{self.chunk}" if self.chunk > 1 else "serial"

    def train(
        self,
        task: Task,
        start: Tensor,
        work: Sequence[LocalWork],
        rule_for: RuleFor,
        training: Training,
        *,
        cohort: WholeCohort | None = None,
        tick: Tick = no_tick,
    ) -> Trained:
        """Train every client of ``work`` from its row of ``start`` [C, P]; ``work`` may be empty.

        ``cohort``: all who train now, if these are some of them.
        """
        if not work:
            return Trained(params=start, loss=start.new_zeros(0), steps=start.new_zeros(0, dtype=torch.long))
        cohort = cohort or WholeCohort(work, training, task.device)
        if self.workers:
            _ = cohort.batches  # made here, they are seen by every worker
            alone = replace(self, workers=0)

            def train(share: slice) -> Trained:
                return alone.train(task, start[share], work[share], rule_for, training, cohort=cohort)

            trained = _in_shares(train, start, self.workers)
            tick(sum(len(item.examples) for item in work), trained.loss)
            return trained
        done: list[Trained] = []
        params = start.new_empty(start.shape)  # filled chunk by chunk: no second matrix to join them into
        first = 0
        while first < len(work):
            part = slice(first, first + self.chunk)
            rule = rule_for([item.client for item in work[part]], start[part])
            try:
                trained = train_clients(
                    task, start[part], work[part], rule, training, cohort=cohort, tick=tick
                )
            except torch.OutOfMemoryError:
                if self.chunk == 1:
                    raise
                self.chunk = max(1, self.chunk // 2)
                torch.cuda.empty_cache()
                continue
            params[part] = trained.params
            done.append(replace(trained, params=params[part]))
            first += self.chunk
        return Trained(
            params=params,
            loss=torch.cat([trained.loss for trained in done]),
            steps=torch.cat([trained.steps for trained in done]),
            sent=_stacked([trained.sent for trained in done]),
            client_state=_stacked([trained.client_state for trained in done]),
        )


def _in_shares(train: Callable[[slice], Trained], start: Tensor, workers: int) -> Trained:
    """Train every n-th client in the n-th process; the bits are those of one process on one thread."""
    clients = len(start)
    count = min(workers, clients)
    shares = [slice(first, None, count) for first in range(count)]
    order = torch.cat([torch.arange(clients)[share] for share in shares]).argsort()
    params = shared_like(start)

    def job(share: slice) -> dict[str, np.ndarray]:
        trained = train(share)
        params[share] = trained.params
        return {name: values.numpy() for name, values in _columns(trained).items()}

    said = in_workers([partial(job, share) for share in shares])
    joined = {
        name: torch.from_numpy(np.concatenate([part[name] for part in said]))[order] for name in said[0]
    }
    return Trained(
        params=params,
        loss=joined["loss"],
        steps=joined["steps"],
        sent=named(joined, SENT),
        client_state=named(joined, CLIENT_STATE),
    )


def _columns(trained: Trained) -> dict[str, Tensor]:
    """All that clients end a training with beside their parameters, by name, a client's in a row."""
    return {
        "loss": trained.loss,
        "steps": trained.steps,
        **{f"{SENT}{name}": values for name, values in trained.sent.items()},
        **{f"{CLIENT_STATE}{name}": values for name, values in trained.client_state.items()},
    }


AskedExecutor = ExecutorName | Executor
"""An executor by name, or the very one, such as a record's."""


def asked_executor(text: str) -> AskedExecutor:
    """Read what ``--executor`` takes; :class:`UsageError` for anything else."""
    name, count = parse_executor(text)
    if count is None:
        return cast(ExecutorName, name)
    if name == "workers":
        return Executor(name=name, chunk=1, workers=count)
    return Executor(name="batched" if count > 1 else "serial", chunk=count)


def _stacked(chunks: Sequence[Mapping[str, Tensor]]) -> dict[str, Tensor]:
    """The chunks' named tensors under each other."""
    return {name: torch.cat([chunk[name] for chunk in chunks]) for name in chunks[0]}


def make_executor(
    asked: AskedExecutor, task: Task, work: Sequence[LocalWork], training: Training
) -> Executor:
    """Make the executor that was ``asked`` for, for cohorts like ``work``; one that is given is copied, and
    takes no more clients than there are.

    ``auto`` follows :func:`~fedbench.federation.executor_choice.chunk_by_rule`, so that its bits are the same
    each time; ``fastest`` measures, and what it chooses may differ from one run to the next.
    """
    size = max(1, len(work))
    if isinstance(asked, Executor) and asked.workers:
        check_workers(task.device)
        return replace(asked)
    if isinstance(asked, Executor):
        chunk = min(asked.chunk, size)
        return replace(asked, name="batched" if chunk > 1 else "serial", chunk=chunk)
    chosen = CHOSEN_BY[asked]
    if asked == "auto":
        chunk = chunk_by_rule(
            clients=size,
            batch_size=training.batch_size,
            parameters=task.space.size,
            device_type=task.device.type,
        )
    elif asked == "fastest" and size > 1:
        chunk = size if _gain(task, work, training) >= WORTH_IT else 1
    else:
        chunk = size if asked == "batched" else 1
    return Executor(name="batched" if chunk > 1 else "serial", chunk=chunk, chosen=chosen)


def _gain(task: Task, work: Sequence[LocalWork], training: Training, steps: int = 2) -> float:
    """Serial seconds over batched seconds on the first steps of a round; the better of two tries."""
    few = steps * training.batch_size
    short = [LocalWork(item.client, item.examples[:few], 0, item.schedule_steps) for item in work]
    start = torch.zeros(len(work), task.space.size, device=task.device)

    def seconds(chunk: int) -> float:
        tries = []
        for _ in range(2):
            begin = time.perf_counter()
            try:
                executor = Executor("probe", chunk)
                executor.train(task, start, short, no_rule, training).params.sum().item()
            except torch.OutOfMemoryError:
                return float("inf")
            tries.append(time.perf_counter() - begin)
        return min(tries)

    return seconds(1) / seconds(len(work))
