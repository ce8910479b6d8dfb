"""Executors: how many clients are trained at once. All give the same parameters up to rounding."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import torch
from torch import Tensor

from fedbench.api.aggregator import LocalRule
from fedbench.api.scenario import Training
from fedbench.environment import device_name
from fedbench.federation.local import LocalWork, Tick, Trained, no_tick, train_clients
from fedbench.federation.task import Task
from fedbench.files import write_atomic
from fedbench.fingerprint import sha256_json

ExecutorName = Literal["auto", "serial", "batched"]
RuleFor = Callable[[Sequence[int]], LocalRule]


def no_rule(clients: Sequence[int]) -> LocalRule:
    """The rule that adds nothing, for any clients."""
    return LocalRule()


WORTH_IT = 1.15
"""``auto`` leaves the serial reference only for a gain clearly above a machine's noise."""


@dataclass
class Executor:
    """Trains a cohort in chunks of ``chunk`` clients; out of memory, it halves the chunk and goes on."""

    name: str
    chunk: int

    @classmethod
    def as_saved(cls, note: Mapping[str, object]) -> Executor:
        """The one that a checkpoint or a record tells of."""
        return cls(str(note["name"]), int(str(note["chunk"])))

    def train(
        self,
        task: Task,
        start: Tensor,
        work: Sequence[LocalWork],
        rule_for: RuleFor,
        training: Training,
        *,
        tick: Tick = no_tick,
    ) -> Trained:
        """Train every client of ``work`` from its row of ``start`` [C, P]; ``work`` may be empty."""
        if not work:
            return Trained(params=start, loss=start.new_zeros(0), reports={}, client_state={})
        done: list[Trained] = []
        first = 0
        while first < len(work):
            part = slice(first, first + self.chunk)
            rule = rule_for([item.client for item in work[part]])
            try:
                done.append(train_clients(task, start[part], work[part], rule, training, tick=tick))
            except torch.OutOfMemoryError:
                if self.chunk == 1:
                    raise
                self.chunk = max(1, self.chunk // 2)
                torch.cuda.empty_cache()
                continue
            first += self.chunk
        return Trained(
            params=torch.cat([trained.params for trained in done]),
            loss=torch.cat([trained.loss for trained in done]),
            reports=_stacked([trained.reports for trained in done]),
            client_state=_stacked([trained.client_state for trained in done]),
        )


def _stacked(chunks: Sequence[Mapping[str, Tensor]]) -> dict[str, Tensor]:
    """The chunks' named tensors under each other."""
    return {name: torch.cat([chunk[name] for chunk in chunks]) for name in chunks[0]}


def make_executor(
    name: ExecutorName, task: Task, work: Sequence[LocalWork], training: Training, cache: Path
) -> Executor:
    """The executor called ``name`` for cohorts like ``work``; ``auto`` measures which is faster.

    What ``auto`` measured is kept in ``cache``, per device and shape of work, so that the same command
    always computes the same way on one machine.
    """
    size = len(work)
    if name == "serial" or size == 1:
        return Executor("serial", 1)
    if name == "batched":
        return Executor("batched", size)
    shape = [
        device_name(task.device),
        torch.get_num_threads(),
        torch.__version__,
        task.space.size,
        size,
        training.batch_size,
    ]
    note = cache / f"{sha256_json(shape)[:32]}.json"
    try:
        gain = float(json.loads(note.read_text())["gain"])
    except (OSError, ValueError, KeyError):
        gain = _probe(task, work, training)
        write_atomic(note, json.dumps({"shape": shape, "gain": gain}))
    return Executor("batched", size) if gain >= WORTH_IT else Executor("serial", 1)


def _probe(task: Task, work: Sequence[LocalWork], training: Training, steps: int = 2) -> float:
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
