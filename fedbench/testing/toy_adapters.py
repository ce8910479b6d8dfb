"""A toy task with adapters: a frozen matrix behind a frozen projector, and the factors of what is added to
it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cached_property

import torch
from torch import Tensor

from fedbench.api.local_rule import Signals
from fedbench.params import ParamSpace
from fedbench.rng import torch_stream
from fedbench.testing.toy import ToyTask

LAYERS = ("first", "second")
"""The adapted linears of the toy."""


@dataclass(frozen=True)
class ToyAdapters(ToyTask):
    """Regress (W + s · B A) x on targets through two linears with a tanh between them.

    >>> from fedbench import adapter_pairs
    >>> from fedbench.testing import ToyAdapters
    >>> [pair.path for pair in adapter_pairs(ToyAdapters().space)]
    ['first', 'second']
    """

    rank: int = 2
    """r, the largest rank of any client."""
    alpha: float = 2.0
    """α: what is added is scaled by α/r."""
    offset: Mapping[str, Tensor] | None = None
    """How far a method has moved the frozen weights, by path, without the scale."""

    @property
    def scale(self) -> float:
        """s = α/r."""
        return self.alpha / self.rank

    @property
    def space(self) -> ParamSpace:
        """Names and shapes of the factors, as peft has them."""
        shapes: dict[str, tuple[int, ...]] = {}
        for layer, (outputs, inputs) in self.bases.shapes.items():
            shapes |= {
                f"{layer}.lora_A.weight": (self.rank, inputs),
                f"{layer}.lora_B.weight": (outputs, self.rank),
            }
        return ParamSpace(shapes)

    @property
    def bases(self) -> ParamSpace:
        """Names and shapes of the frozen weights."""
        width = self.projector.width
        return ParamSpace({"first": (6, width), "second": (width, 6)})

    @cached_property
    def frozen(self) -> tuple[Tensor, dict[str, Tensor]]:
        """The projector's parameters [P'], and the frozen weights as they were."""
        generator = torch_stream(self.seed, "toy", "frozen")
        weights = {
            name: torch.randn(shape, generator=generator) / 2 for name, shape in self.bases.shapes.items()
        }
        projector = self.projector.init(generator)
        return projector.to(self.dtype), {name: weight.to(self.dtype) for name, weight in weights.items()}

    def on(self, offset: Mapping[str, Tensor]) -> ToyAdapters:
        """The task on a moved base."""
        return replace(self, offset=offset) if offset else self

    def models(self, params: Tensor) -> Tensor:
        """The factors, and behind them how far the frozen weights are moved."""
        if not self.offset:
            return params
        zeros = {name: params.new_zeros(shape) for name, shape in self.bases.shapes.items()}
        moved = self.bases.flatten({**zeros, **self.offset}, params.dtype)
        return torch.cat([params, self.scale * moved.expand(len(params), -1)], dim=1)

    def loss(self, params: Tensor, index: Tensor) -> Tensor:
        """[C]: the mean loss over each client's examples of a batch [C, B]."""
        features, targets = self.data
        projector, _ = self.frozen
        rows, mask = index.clamp_min(0), (index >= 0).to(params.dtype)
        x = self.projector(projector.expand(len(params), -1), features[rows]).mean(2)
        first, second = (self.weights(params)[layer] for layer in LAYERS)
        out = torch.tanh(x @ first.mT) @ second.mT
        distance = 0.5 * (out - targets[rows]).square().sum(-1)
        return (distance * mask).sum(1) / mask.sum(1).clamp_min(1)

    def signals(self, params: Tensor, index: Tensor) -> Signals:
        """The signals of a batch: the frozen projector's tokens, whatever the factors are."""
        projector, _ = self.frozen
        signals = super().signals(projector.expand(len(params), -1), index)
        return replace(signals, at=lambda other: signals)

    def weights(self, params: Tensor) -> dict[str, Tensor]:
        """W + s · B A of every linear, [C, O, I], for the factors ``params`` [C, P]."""
        views, (_, frozen) = self.space.views(params), self.frozen
        moved = self.offset or {}
        return {
            layer: frozen[layer]
            + self.scale * moved.get(layer, torch.zeros(()))
            + self.scale * views[f"{layer}.lora_B.weight"] @ views[f"{layer}.lora_A.weight"]
            for layer in LAYERS
        }

    def init(self, seed: int = 0) -> Tensor:
        """Initial factors [P]: A drawn, B = 0."""
        generator = torch_stream(seed, "init")
        drawn = {
            name: torch.zeros(shape)
            if name.endswith("lora_B.weight")
            else torch.randn(shape, generator=generator) / shape[1] ** 0.5
            for name, shape in self.space.shapes.items()
        }
        return self.space.flatten(drawn).to(self.dtype)
