"""A torch module as a function of flat parameters with a client axis."""

from __future__ import annotations

import copy
from functools import cached_property
from math import prod
from typing import Any

import torch
from torch import Tensor, nn
from torch.func import functional_call, vmap

from fedbench.params import ParamSpace


class Functional:
    """A module whose parameters are given at each call, one set per client."""

    def __init__(self, module: nn.Module) -> None:
        self._shape = copy.deepcopy(module).to("meta")
        self._buffers = {
            name: buffer.clone() for name, buffer in module.named_buffers(remove_duplicate=False)
        }

    @cached_property
    def space(self) -> ParamSpace:
        """The layout of the module's parameters."""
        return ParamSpace.of(self._shape)

    def init(self, generator: torch.Generator) -> Tensor:
        """Draw parameters [P]: matrices U(±1/√fan_in), biases 0, scales 1; the module's own are not used."""

        def drawn(name: str, shape: tuple[int, ...]) -> Tensor:
            if len(shape) < 2:
                return torch.zeros(shape) if name.endswith("bias") else torch.ones(shape)
            random: Tensor = torch.rand(shape, generator=generator)
            spread: Tensor = (random * 2 - 1) / prod(shape[1:]) ** 0.5
            return spread

        return self.space.flatten({name: drawn(name, shape) for name, shape in self.space.shapes.items()})

    def __call__(self, params: Tensor, *inputs: Any) -> Tensor:
        """Map inputs [C, ...] to outputs [C, ...] under parameters [C, P]."""
        in_dims = (0, *(0 for _ in inputs))
        outputs: Tensor = vmap(self._one, in_dims=in_dims)(self.space.views(params), *inputs)
        return outputs

    def _buffers_beside(self, inputs: tuple[Any, ...]) -> dict[str, Tensor]:
        """Copy the module's buffers, which are no parameters, to the inputs' device."""
        where = next((each.device for each in inputs if isinstance(each, Tensor)), None)
        return {name: buffer.to(where) for name, buffer in self._buffers.items()}

    def _one(self, params: dict[str, Tensor], *inputs: Any) -> Tensor:
        tensors = {**self._buffers_beside(inputs), **params}
        outputs: Tensor = functional_call(self._shape, tensors, inputs)
        return outputs
