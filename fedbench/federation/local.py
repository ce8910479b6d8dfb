"""Local training: C clients at once, each with exactly the steps it would take alone."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from math import ceil

import numpy as np
import torch
from torch import Tensor

from fedbench.api.local_rule import LocalRound, LocalRule
from fedbench.api.scenario import Training
from fedbench.federation.optim import LocalOptimizer, clip_per_client, rate
from fedbench.federation.task import Task

Tick = Callable[[int, Tensor], None]
"""``tick(examples, loss [C])`` after every step; reading the loss waits for the device."""


def no_tick(examples: int, loss: Tensor) -> None:
    """A tick that does nothing."""


@dataclass(frozen=True)
class LocalWork:
    """What one client does this round: its examples in order, and where its schedule stands."""

    client: int
    examples: np.ndarray
    first_step: int
    schedule_steps: int


@dataclass(frozen=True)
class Trained:
    """What C clients end a training with.

    ``params`` [C, P]; ``loss`` [C]: mean over the examples, measured on the way; ``steps`` [C]: of the
    optimiser; ``sent[name]`` [C, *shape]: what goes to the server beside parameters; ``client_state[name]``
    [C, P]: what stays.
    """

    params: Tensor
    loss: Tensor
    steps: Tensor
    sent: dict[str, Tensor] = field(default_factory=dict)
    client_state: dict[str, Tensor] = field(default_factory=dict)


def steps_of(examples: int, training: Training) -> int:
    """Optimiser steps that one epoch over so many examples takes."""
    return ceil(examples / training.batch_size)


class WholeCohort:
    """All who train now, of whom some are trained at a time; their batches set the padding."""

    def __init__(self, work: Sequence[LocalWork], training: Training, device: torch.device) -> None:
        self.work, self._training, self._device = work, training, device

    @cached_property
    def batches(self) -> Tensor:
        """``[S, K, B]`` example indices of every step; made once, whatever the number of passes."""
        return _batches(self.work, self._training, self._device)


def train_clients(
    task: Task,
    start: Tensor,
    work: Sequence[LocalWork],
    rule: LocalRule,
    training: Training,
    *,
    cohort: WholeCohort | None = None,
    tick: Tick = no_tick,
) -> Trained:
    """Train clients ``work`` from ``start`` [C, P] for one epoch over their examples, of which there may be
    none. ``cohort``: all who train now, where these are some of them; it only sets the padding.
    """
    batches = _batches(work, training, task.device)
    tasks = [task] * len(batches)
    if cohort and len(cohort.work) > len(work):
        tasks = [task.padded_for(index) for index in cohort.batches[: len(batches)]]
    counts = (batches >= 0).sum(2)
    params = start.clone()
    optimizer = LocalOptimizer(training, params)
    total_loss = torch.zeros(len(work), device=task.device)
    total_gradient = torch.zeros_like(params) if rule.client_state or rule.sends else None
    rates, sizes = _rates(work, training, counts).to(start.dtype), counts.sum(1).tolist()
    moves = None if rule.trains is None else task.space.mask(rule.trains).to(start)
    for step, index in enumerate(batches):
        params.requires_grad_(True)
        loss = tasks[step].loss(params, index)
        objective = loss if rule.loss is None else loss + rule.loss(tasks[step].signals(params, index))
        (grads,) = torch.autograd.grad(objective.sum(), params)
        params = params.detach()
        if total_gradient is not None:
            total_gradient += grads * (counts[step] > 0)[:, None]
        if rule.gradient is not None:
            grads = rule.gradient(grads, params, start)
        if moves is not None:
            grads = grads * moves
        if training.grad_norm is not None:
            grads = clip_per_client(grads, training.grad_norm)
        params = optimizer.step(params, grads, rates[step] if moves is None else rates[step] * moves)
        total_loss += loss.detach() * counts[step]
        tick(sizes[step], loss.detach())
    examples, steps = counts.sum(0), (counts > 0).sum(0)
    client_state, sent = {}, _reports(tasks, params, batches, rule)
    if total_gradient is not None:
        mean_gradient = total_gradient / steps.clamp_min(1)[:, None]
        local_round = LocalRound(start=start, params=params, mean_gradient=mean_gradient)
        client_state = {name: after(local_round) for name, after in rule.client_state.items()}
        sent |= {name: of_round(local_round) for name, of_round in rule.sends.items()}
    return Trained(
        params=params,
        loss=total_loss / examples.clamp_min(1),
        steps=steps,
        sent=sent,
        client_state=client_state,
    )


def _rates(work: Sequence[LocalWork], training: Training, counts: Tensor) -> Tensor:
    """[S, C, 1] learning rates from the examples [S, C] of every step; 0 for a client that has ended."""
    table = [
        [rate(training, item.first_step + step, item.schedule_steps) for item in work]
        for step in range(len(counts))
    ]
    rates = torch.tensor(table, device=counts.device, dtype=torch.float64)
    return (rates.reshape(len(counts), len(work)) * (counts > 0))[..., None]


@torch.no_grad()
def _reports(tasks: Sequence[Task], params: Tensor, batches: Tensor, rule: LocalRule) -> dict[str, Tensor]:
    examples = torch.zeros(len(params), dtype=torch.float64, device=params.device)
    sums = {
        name: torch.zeros(len(params), dtype=torch.float64, device=params.device) for name in rule.reports
    }
    for task, index in zip(tasks, batches, strict=True) if sums else ():
        signals = task.signals(params, index)
        examples += signals.mask.double().sum(1)
        for name, report in rule.reports.items():
            sums[name] += (report(signals) * signals.mask).double().sum(1)
    return {name: (total / examples.clamp_min(1)).float() for name, total in sums.items()}


def _batches(work: Sequence[LocalWork], training: Training, device: torch.device) -> Tensor:
    """``[S, C, B]`` example indices of every step, on ``device``."""
    return torch.from_numpy(minibatches([item.examples for item in work], training.batch_size)).to(device)


def minibatches(parts: Sequence[np.ndarray], batch_size: int) -> np.ndarray:
    """``[S, C, B]`` example indices: each client's part in order, padded with −1 to the longest."""
    steps = max(ceil(len(part) / batch_size) for part in parts)
    batches = np.full((steps, len(parts), batch_size), -1, dtype=np.int64)
    for client, part in enumerate(parts):
        padded = np.full(steps * batch_size, -1, dtype=np.int64)
        padded[: len(part)] = part
        batches[:, client] = padded.reshape(steps, batch_size)
    return batches
