"""Named tensors as one flat fp32 vector [P], or those of a cohort as a matrix [C, P]."""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from functools import cached_property
from math import prod

import torch
from torch import Tensor


@dataclass(frozen=True)
class ParamSpace:
    """The layout of the trainable parameters: names, shapes and where each starts in the vector.

    >>> import torch
    >>> from fedbench import ParamSpace
    >>> space = ParamSpace({"weight": (2, 3), "bias": (2,)})
    >>> cohort = torch.zeros(5, space.size)  # five clients' parameters
    >>> space.views(cohort)["weight"].shape
    torch.Size([5, 2, 3])
    >>> torch.equal(space.flatten(space.views(cohort)), cohort)
    True
    """

    shapes: Mapping[str, tuple[int, ...]]
    """The shape of each tensor by its name, in the vector's order."""

    @classmethod
    def of(cls, module: torch.nn.Module) -> ParamSpace:
        """Read the layout of a module's parameters."""
        return cls({name: tuple(value.shape) for name, value in module.named_parameters()})

    @cached_property
    def spans(self) -> Mapping[str, tuple[int, int]]:
        """The half-open range [start, end) of each name in the flat vector."""
        spans, start = {}, 0
        for name, shape in self.shapes.items():
            spans[name] = (start, start + prod(shape))
            start += prod(shape)
        return spans

    @cached_property
    def size(self) -> int:
        """P, the number of parameters."""
        return sum(prod(shape) for shape in self.shapes.values())

    def only(self, names: Collection[str]) -> ParamSpace:
        """The layout of the tensors ``names`` alone, in the same order."""
        return ParamSpace({name: shape for name, shape in self.shapes.items() if name in names})

    def mask(self, names: Collection[str]) -> Tensor:
        """1 where a number belongs to one of the tensors ``names``, else 0: [P]. ValueError for another
        name."""
        if strange := sorted(set(names) - set(self.shapes)):
            raise ValueError(f"no such parameters: {', '.join(strange)}; there are {', '.join(self.shapes)}")
        mask = torch.zeros(self.size)
        for name in names:
            mask[slice(*self.spans[name])] = 1
        return mask

    def views(self, flat: Tensor) -> dict[str, Tensor]:
        """Split vectors ``[..., P]`` into named views ``[..., *shape]`` that share their memory."""
        # one split, whose gradient is one cat: that of a slice is a whole vector of zeros
        parts = flat.split([end - start for start, end in self.spans.values()], dim=-1)
        return {
            name: part.unflatten(-1, shape) if shape else part.squeeze(-1)
            for (name, shape), part in zip(self.shapes.items(), parts, strict=True)
        }

    def flatten(self, tensors: Mapping[str, Tensor], dtype: torch.dtype = torch.float32) -> Tensor:
        """Join named tensors ``[..., *shape]`` to vectors [..., P] of ``dtype``; the inverse of
        :meth:`views`."""
        if set(tensors) != set(self.shapes):
            raise ValueError(f"expected tensors {sorted(self.shapes)}, got {sorted(tensors)}")
        if not self.shapes:
            return torch.zeros(0)
        return torch.cat(
            [
                tensors[name].to(dtype).reshape(*tensors[name].shape[: -len(shape) or None], -1)
                for name, shape in self.shapes.items()
            ],
            dim=-1,
        )


def own(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Copy each tensor into contiguous memory of its own.

    How a product rounds depends on its operands' layout and alignment: a run that continues and a run that
    is resumed from a file must hold their tensors in the same layout.
    """
    return {
        name: tensor.detach().clone(memory_format=torch.contiguous_format) for name, tensor in tensors.items()
    }


def digest(params: Tensor) -> str:
    """Hash parameters: sha256 of their little-endian fp32 bytes."""
    values = params.detach().to("cpu", torch.float32).contiguous().numpy().astype("<f4", copy=False)
    return hashlib.sha256(values.tobytes()).hexdigest()
