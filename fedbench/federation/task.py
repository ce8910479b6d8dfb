"""A task: what the trainable parameters are, and what a batch's loss is for each client."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol

import torch
from torch import Tensor

from fedbench.api.local_rule import Signals
from fedbench.errors import UsageError
from fedbench.params import ParamSpace


class Task(Protocol):
    """``index`` [C, B] names training examples, −1 for none; clients share everything but parameters."""

    @property
    def space(self) -> ParamSpace:
        """Names and shapes of the trainable parameters."""
        ...

    @property
    def device(self) -> torch.device:
        """The device that parameters and losses are on."""
        ...

    def loss(self, params: Tensor, index: Tensor) -> Tensor:
        """Each client's mean loss on its examples, [C]; 0 for a client without any."""
        ...

    def padded_for(self, index: Tensor) -> Task:
        """The task that pads as if the examples ``index`` [K, B] of a whole cohort were trained in one pass.

        So a client's bits depend on its cohort, and not on how many of it share a pass. A task that does not
        pad, or whose bits are others anyway, is its own answer.
        """
        return self

    @property
    def bases(self) -> ParamSpace:
        """Frozen weights that a method may move, by path; none by default."""
        return ParamSpace({})

    def on(self, offset: Mapping[str, Tensor]) -> Task:
        """The task with its frozen weights moved by ``offset`` (by path, [O, I], without any scale)."""
        if offset:
            raise ValueError(f"{type(self).__name__} has no frozen weights that could be moved")
        return self

    def models(self, params: Tensor) -> Tensor:
        """What is evaluated of trained parameters [M, P]: these, and behind them how far the base is
        moved."""
        return params

    def signals(self, params: Tensor, index: Tensor) -> Signals:
        """What local rules may look at beyond the loss; :class:`UsageError` if there is nothing."""
        raise UsageError(
            f"{type(self).__name__} shows no visual tokens to a local rule",
            why="they are what a projector is trained through",
            fix="use a method whose local rule looks at gradients only",
        )
