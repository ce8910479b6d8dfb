"""A toy task with everything that a method can see: a projector, a quadratic loss, signals."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property
from itertools import pairwise
from typing import Any

import numpy as np
import torch
from torch import Tensor

from fedbench.api.aggregator import Aggregator
from fedbench.api.local_rule import Signals
from fedbench.api.scenario import FULL_SPEED, Budget, Faults, Federation, Training
from fedbench.federation.executors import Executor
from fedbench.federation.loop import Round, federate
from fedbench.federation.reparametrised import reparametrised
from fedbench.federation.run_state import RunState
from fedbench.federation.schedule import NO_FAULTS
from fedbench.federation.setup import NO_LIMIT, FederationSetup
from fedbench.federation.task import Task
from fedbench.models.projector import Projector
from fedbench.params import ParamSpace
from fedbench.rng import torch_stream


@dataclass(frozen=True)
class ToyTask(Task):
    """Regress projected tokens on targets: loss ½‖mean token − target‖², two tokens an example.

    >>> from fedbench.testing import ToyTask
    >>> task = ToyTask(examples=60)
    >>> task.space.size, [len(shard) for shard in task.shards(clients=3)]
    (74, [20, 20, 20])
    """

    examples: int = 60
    """Number of examples of all clients together."""
    seed: int = 0
    """Seed of features and targets."""
    dtype: torch.dtype = torch.float32
    """What it computes in."""
    projector: Projector = field(default_factory=lambda: Projector(features=5, hidden=7, width=4))
    """The projector that clients train."""

    @property
    def device(self) -> torch.device:
        """Where it computes: the CPU."""
        return torch.device("cpu")

    @property
    def space(self) -> ParamSpace:
        """Names and shapes of the projector's parameters."""
        return self.projector.space

    @cached_property
    def data(self) -> tuple[Tensor, Tensor]:
        """Features [N, 2, F] and targets [N, D]."""
        generator = torch_stream(self.seed, "toy")
        features = torch.randn(self.examples, 2, self.projector.features, generator=generator)
        targets = torch.randn(self.examples, self.projector.width, generator=generator)
        return features.to(self.dtype), targets.to(self.dtype)

    def signals(self, params: Tensor, index: Tensor) -> Signals:
        """The signals of a batch [C, B] of examples, −1 for padding, under parameters [C, P]."""
        features, targets = self.data
        rows = index.clamp_min(0)
        visual, mask = self.projector(params, features[rows]), (index >= 0).to(params.dtype)
        return Signals(visual, targets[rows], mask, lambda other: self.signals(other, index))

    def loss(self, params: Tensor, index: Tensor) -> Tensor:
        """[C]: the mean loss over each client's examples of a batch [C, B]."""
        signals = self.signals(params, index)
        distance = 0.5 * (signals.visual.mean(2) - signals.text).square().sum(-1)
        return (distance * signals.mask).sum(1) / signals.mask.sum(1).clamp_min(1)

    def init(self, seed: int = 0) -> Tensor:
        """Initial parameters [P]."""
        return self.projector.init(torch_stream(seed, "init")).to(self.dtype)

    def shards(self, clients: int, *, equal: bool = True) -> tuple[np.ndarray, ...]:
        """The examples dealt to clients in order: evenly, or more to later ones."""
        everything = np.arange(self.examples)
        if equal:
            return tuple(np.array_split(everything, clients))
        ends = (np.linspace(0, 1, clients + 1) ** 1.5 * self.examples).round().astype(int)
        return tuple(everything[a:b] for a, b in pairwise(ends))


TRAINING = Training(batch_size=4, lr=0.05, optimizer="sgd", schedule="constant", grad_norm=None)


def toy_setup(
    aggregator: Aggregator,
    *,
    task: ToyTask | None = None,
    shards: Sequence[np.ndarray] | None = None,
    clients: int = 3,
    rounds: int = 3,
    cohort: int | None = None,
    training: Training = TRAINING,
    seed: int = 0,
    budget: Budget = NO_LIMIT,
    faults: Faults = NO_FAULTS,
    epochs: int | None = None,
    speed: Sequence[float] = FULL_SPEED,
    ranks: tuple[int, ...] = (),
) -> FederationSetup:
    """Set up ``aggregator`` on a toy task with its examples dealt unequally to ``clients``; runs nothing.

    >>> from fedbench import Aggregator
    >>> from fedbench.testing import toy_setup
    >>> toy_setup(Aggregator(), clients=5).clients
    5
    """
    task = task or ToyTask()
    held = shards if shards is not None else task.shards(clients, equal=False)
    shards = aggregator.population(held)
    size = max(1, len(held))
    return FederationSetup(
        task=reparametrised(task, aggregator, task.init(seed), seed)[0],
        aggregator=aggregator,
        shards=shards,
        federation=Federation(
            clients=size,
            rounds=rounds,
            cohort=cohort and min(cohort, size),
            epochs=epochs,
            speed=tuple(speed),
        ),
        training=training,
        seed=seed,
        budget=budget,
        faults=faults,
        client_sizes=[len(shard) for shard in held],
        ranks=ranks if len(ranks) == len(shards) else (),
    )


def toy_rounds(
    aggregator: Aggregator, *, chunk: int = 1, resume: RunState | None = None, **setup: Any
) -> list[Round]:
    """Run ``aggregator`` on a toy task through the engine's own round loop; every finished round.

    It begins at the start or after ``resume``. ``chunk`` clients are trained at once. Everything else is as
    :func:`toy_setup` takes it.

    >>> from fedbench import Aggregator
    >>> from fedbench.testing import toy_rounds
    >>> class Mean(Aggregator):
    ...     def aggregate(self, state, cohort):
    ...         return {"params": cohort.params.mean(0)}
    >>> rounds = toy_rounds(Mean(), clients=5, cohort=2, rounds=3)
    >>> [len(round.cohort) for round in rounds]
    [2, 2, 2]
    """
    setup.setdefault("task", ToyTask())
    made, task = toy_setup(aggregator, **setup), setup["task"]
    _, params = reparametrised(task, aggregator, task.init(made.seed), made.seed)
    start = resume or made.initial(params)
    return list(federate(made, Executor("toy", chunk), start))
