"""The projector ψ: Linear–GELU–Linear from visual features to the LLM's embedding space (LLaVA)."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import torch
from torch import Tensor
from torch.nn import functional as F

from fedbench.params import ParamSpace


@dataclass(frozen=True)
class Projector:
    """A two-layer MLP whose parameters are given at each call, one set per client.

    >>> import torch
    >>> from fedbench import Projector, torch_stream
    >>> projector = Projector(features=5, hidden=7, width=4)
    >>> params = projector.init(torch_stream(0, "init")).repeat(3, 1)  # three clients
    >>> visual = torch.zeros(3, 2, 6, 5)  # two images each, of six tokens
    >>> projector(params, visual).shape
    torch.Size([3, 2, 6, 4])
    """

    features: int
    """F, the width of the vision encoder's features."""
    hidden: int
    """The hidden layer's width."""
    width: int
    """D, the LLM's embedding width."""

    @classmethod
    def holding(cls, params: Tensor, features: int, width: int) -> Projector:
        """Infer the projector whose parameters are ``params`` [P]; ValueError if P fits no hidden width."""
        hidden, left = divmod(len(params) - width, features + 1 + width)
        if left:
            raise ValueError(f"{len(params)} parameters are no projector from {features} to {width}")
        return cls(features, hidden, width)

    @cached_property
    def space(self) -> ParamSpace:
        """The parameters' layout; weights as PyTorch stores them, [out, in]."""
        return ParamSpace(
            {
                "up.weight": (self.hidden, self.features),
                "up.bias": (self.hidden,),
                "down.weight": (self.width, self.hidden),
                "down.bias": (self.width,),
            }
        )

    def init(self, generator: torch.Generator) -> Tensor:
        """Draw initial parameters [P], distributed as ``torch.nn.Linear``'s: U(±1/√fan_in)."""
        bounds = {"up": self.features**-0.5, "down": self.hidden**-0.5}
        return self.space.flatten(
            {
                name: (torch.rand(shape, generator=generator) * 2 - 1) * bounds[name.split(".")[0]]
                for name, shape in self.space.shapes.items()
            }
        )

    def __call__(self, params: Tensor, visual: Tensor) -> Tensor:
        """Map features [C, ..., F] to visual tokens [C, ..., D] under parameters [C, P]."""
        p = self.space.views(params)
        rows = visual.flatten(1, -2)
        hidden = F.gelu(torch.baddbmm(p["up.bias"][:, None], rows, p["up.weight"].mT))
        out: Tensor = torch.baddbmm(p["down.bias"][:, None], hidden, p["down.weight"].mT)
        return out.reshape(*visual.shape[:-1], self.width)
