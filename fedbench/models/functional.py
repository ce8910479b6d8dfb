"""A torch module as a function of flat parameters with a client axis."""

from __future__ import annotations

import copy
from functools import cached_property
from typing import Any

import torch
from torch import Tensor, nn
from torch.func import functional_call, vmap

from fedbench.params import ParamSpace


class Functional:
    """``module`` under parameters that are given at each call, one set per client."""

    def __init__(self, module: nn.Module) -> None:
        self._shape = copy.deepcopy(module).to("meta")
        self._first = {name: value.detach() for name, value in module.named_parameters()}

    @cached_property
    def space(self) -> ParamSpace:
        return ParamSpace.of(self._shape)

    def init(self, generator: torch.Generator) -> Tensor:
        """Parameters [P]: matrices U(±1/√fan_in), vectors as the module has them (biases 0, scales 1)."""

        def drawn(value: Tensor) -> Tensor:
            if value.ndim < 2:
                return value
            bound = value[0].numel() ** -0.5
            random: Tensor = torch.rand(value.shape, generator=generator)
            spread: Tensor = (random * 2 - 1) * bound
            return spread

        return self.space.flatten({name: drawn(value) for name, value in self._first.items()})

    def __call__(self, params: Tensor, *inputs: Any) -> Tensor:
        """Parameters [C, P] and inputs [C, ...] to outputs [C, ...]."""
        found: Tensor = vmap(self._one, in_dims=(0, *(0 for _ in inputs)))(self.space.views(params), *inputs)
        return found

    def _one(self, params: dict[str, Tensor], *inputs: Any) -> Tensor:
        found: Tensor = functional_call(self._shape, params, inputs)
        return found
