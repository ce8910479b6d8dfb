"""A toy task with everything a method can see: a real projector, a quadratic loss, real signals."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property
from itertools import pairwise

import numpy as np
import torch
from torch import Tensor

from fedbench.api.aggregator import Aggregator, Context, Signals, State
from fedbench.api.scenario import Faults, Federation, Training
from fedbench.federation.client_state import ClientState
from fedbench.federation.executors import Executor
from fedbench.federation.loop import Round, federate
from fedbench.federation.updates import Updates
from fedbench.models.projector import Projector
from fedbench.params import ParamSpace
from fedbench.rng import torch_stream


@dataclass(frozen=True)
class ToyTask:
    """Regress projected tokens on targets: loss ½‖mean token − target‖², two tokens an example."""

    examples: int = 60
    seed: int = 0
    dtype: torch.dtype = torch.float32
    projector: Projector = field(default_factory=lambda: Projector(features=5, hidden=7, width=4))

    @property
    def device(self) -> torch.device:
        return torch.device("cpu")

    @property
    def space(self) -> ParamSpace:
        return self.projector.space

    @cached_property
    def data(self) -> tuple[Tensor, Tensor]:
        """Features [N, 2, F] and targets [N, D]."""
        generator = torch_stream(self.seed, "toy")
        features = torch.randn(self.examples, 2, self.projector.features, generator=generator)
        targets = torch.randn(self.examples, self.projector.width, generator=generator)
        return features.to(self.dtype), targets.to(self.dtype)

    def signals(self, params: Tensor, index: Tensor) -> Signals:
        features, targets = self.data
        rows = index.clamp_min(0)
        visual, mask = self.projector(params, features[rows]), (index >= 0).to(params.dtype)
        return Signals(visual, targets[rows], mask, lambda other: self.signals(other, index))

    def loss(self, params: Tensor, index: Tensor) -> Tensor:
        signals = self.signals(params, index)
        distance = 0.5 * (signals.visual.mean(2) - signals.text).square().sum(-1)
        return (distance * signals.mask).sum(1) / signals.mask.sum(1).clamp_min(1)

    def init(self, seed: int = 0) -> Tensor:
        return self.projector.init(torch_stream(seed, "init")).to(self.dtype)

    def shards(self, clients: int, *, equal: bool = True) -> tuple[np.ndarray, ...]:
        """The examples dealt to clients in order: evenly, or more to later ones."""
        everything = np.arange(self.examples)
        if equal:
            return tuple(np.array_split(everything, clients))
        ends = (np.linspace(0, 1, clients + 1) ** 1.5 * self.examples).round().astype(int)
        return tuple(everything[a:b] for a, b in pairwise(ends))


TRAINING = Training(batch_size=4, lr=0.05, optimizer="sgd", schedule="constant", grad_norm=None)


def toy_rounds(
    aggregator: Aggregator,
    *,
    task: ToyTask | None = None,
    shards: Sequence[np.ndarray] | None = None,
    clients: int = 3,
    rounds: int = 3,
    cohort: int | None = None,
    training: Training = TRAINING,
    chunk: int = 1,
    seed: int = 0,
    after: int = 0,
    state: State | None = None,
    client_state: ClientState | None = None,
    late: Updates | None = None,
    faults: Faults | None = None,
) -> list[Round]:
    """Run ``aggregator`` on the toy task through the engine's own round loop."""
    task = task or ToyTask()
    shards = aggregator.population(shards if shards is not None else task.shards(clients, equal=False))
    if state is None:
        state = aggregator.initial_state(task.init(seed), Context(task.space, len(shards), rounds))
    size = max(1, len(shards))
    federation = Federation(clients=size, rounds=rounds, cohort=cohort and min(cohort, size))
    executor = Executor("toy", chunk)
    return list(
        federate(
            task, aggregator, state, shards, federation, training, executor,
            seed=seed, after=after, client_state=client_state, late=late or {}, faults=faults,
        )
    )  # fmt: skip
