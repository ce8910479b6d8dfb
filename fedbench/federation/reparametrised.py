"""A task whose clients train another parametrisation of its model."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import partial

import torch
from torch import Tensor

from fedbench.api.aggregator import Aggregator
from fedbench.api.local_rule import Signals
from fedbench.api.parametrisation import Parametrisation
from fedbench.federation.task import Task
from fedbench.params import ParamSpace
from fedbench.rng import torch_stream


def reparametrised(task: Task, aggregator: Aggregator, start: Tensor, seed: int) -> tuple[Task, Tensor]:
    """``task`` and the parameters ``start`` [P] as ``aggregator`` has its clients train them: [Q]."""
    made = aggregator.parametrisation(start, task.space, partial(torch_stream, seed, "parametrisation"))
    return (Reparametrised(task, made), made.initial(start)) if made else (task, start)


@dataclass(frozen=True)
class Reparametrised(Task):
    """``task`` with what a method trains in the place of its parameters (:class:`.Parametrisation`)."""

    task: Task
    """The task of the model's own parameters."""
    parametrisation: Parametrisation
    """What is trained, and the model that follows from it."""

    @property
    def space(self) -> ParamSpace:
        """Names and shapes of what is trained."""
        return self.parametrisation.space

    @property
    def device(self) -> torch.device:
        """The task's device."""
        return self.task.device

    @property
    def bases(self) -> ParamSpace:
        """The task's frozen weights that a method may move."""
        return self.task.bases

    def loss(self, params: Tensor, index: Tensor) -> Tensor:
        """Each client's mean loss, [C]."""
        return self.task.loss(self.parametrisation.expand(params), index)

    def padded_for(self, index: Tensor) -> Reparametrised:
        """The same, padding as the task does for a whole cohort."""
        return replace(self, task=self.task.padded_for(index))

    def on(self, offset: Mapping[str, Tensor]) -> Reparametrised:
        """The same on a moved base."""
        return replace(self, task=self.task.on(offset))

    def models(self, params: Tensor) -> Tensor:
        """The task's models of what was trained."""
        return self.task.models(self.parametrisation.expand(params))

    def signals(self, params: Tensor, index: Tensor) -> Signals:
        """The task's signals, which follow what is trained."""
        expand = self.parametrisation.expand
        signals = self.task.signals(expand(params), index)
        return replace(signals, at=lambda other: self.signals(other, index))
