"""Local training phase by phase: what each trains, from where, and what a client knows there."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from functools import partial

import torch
from torch import Tensor

from fedbench.api.local_rule import Clients, LocalRule
from fedbench.api.phase import Phase
from fedbench.federation.client_state import PARAMS, of
from fedbench.federation.executors import Executor
from fedbench.federation.local import Tick, Trained
from fedbench.federation.plan import PhaseWork
from fedbench.federation.run_state import RunState
from fedbench.federation.setup import FederationSetup


def train_phases(
    setup: FederationSetup,
    executor: Executor,
    state: RunState,
    start: Tensor,
    phases: Sequence[PhaseWork],
    *,
    tick: Tick,
) -> Trained:
    """Train clients from ``start`` [C, P] through ``phases``.

    The loss is the mean over the examples of all phases; the steps are those of the client's model.
    """
    model, done, task = start, [], setup.task_at(state)
    for part in phases:
        copy, ids = part.phase.copy, [item.client for item in part.work]
        begin = state.client_state[copy][ids] if copy else model
        started = {} if begin is start else dict(zip(ids, start, strict=True))
        rule_for = partial(_rule, setup, state, part.phase, started)
        trained = executor.train(
            task, begin, part.work, rule_for, setup.training, cohort=part.cohort, tick=tick
        )
        if copy:
            kept = {copy: trained.params} | trained.client_state
            trained = replace(trained, steps=torch.zeros_like(trained.steps), client_state=kept)
        else:
            model = trained.params
        done.append(trained)
    counts = torch.tensor([[len(item.examples) for item in part.work] for part in phases])
    return Trained(
        params=model,
        loss=done[0].loss if len(done) == 1 else _mean_loss(done, counts),
        steps=torch.stack([trained.steps for trained in done]).sum(0),
        sent={name: values for trained in done for name, values in trained.sent.items()},
        client_state={name: vectors for trained in done for name, vectors in trained.client_state.items()},
    )


def _rule(
    setup: FederationSetup,
    state: RunState,
    phase: Phase,
    started: dict[int, Tensor],
    ids: Sequence[int],
    begin: Tensor,
) -> LocalRule:
    """The phase's rule for these clients, who know what they were sent and what they have kept.

    ``started``: where each began the round, if this phase does not begin there.
    """
    start = torch.stack([started[client] for client in ids]) if started else begin
    received = {name: state.state[name] for name in setup.traffic.down}
    if strange := [name for name, shape in setup.traffic.down.items() if received[name].shape != shape]:
        raise ValueError(f"what it sends down has another shape than it declares: {', '.join(strange)}")
    kept = {name: vectors for name, vectors in of(state.client_state, ids).items() if name != PARAMS}
    number = None if phase.at_end else state.round + 1
    rule = phase.rule(
        Clients(ids=tuple(ids), start=start, received=received, client_state=kept, round=number)
    )
    if (given := rule.gradient) is None or start is begin:
        return rule
    return replace(rule, gradient=lambda grads, params, _: given(grads, params, start))


def _mean_loss(done: Sequence[Trained], counts: Tensor) -> Tensor:
    """The loss [C] of all phases together, weighted by their examples ``counts`` [phases, C]."""
    losses = torch.stack([trained.loss for trained in done])
    counts = counts.to(losses)
    return (losses * counts).sum(0) / counts.sum(0).clamp_min(1)
