"""The names of LoRA factors in a parameter space, and what follows from them: pairs, and masks of a rank."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torch import Tensor

    from fedbench.params import ParamSpace

LORA_A, LORA_B = ".lora_A.weight", ".lora_B.weight"
"""What peft calls a linear's two factors, after the linear's own path."""


@dataclass(frozen=True, slots=True)
class AdapterPair:
    """The two factors of one adapted linear: ΔW = s · B A, s = α/r (LoRA, arXiv 2106.09685).

    >>> from fedbench import AdapterPair
    >>> AdapterPair("layers.0.q_proj").a
    'layers.0.q_proj.lora_A.weight'
    """

    path: str
    """The linear's path in the LLM."""

    @property
    def a(self) -> str:
        """The name of A [r, I]."""
        return f"{self.path}{LORA_A}"

    @property
    def b(self) -> str:
        """The name of B [O, r]."""
        return f"{self.path}{LORA_B}"


def adapter_pairs(space: ParamSpace) -> list[AdapterPair]:
    """The adapted linears whose factors are both in ``space``; empty where no adapters are trained.

    >>> from fedbench import ParamSpace, adapter_pairs
    >>> space = ParamSpace({"up.weight": (7, 5), "q.lora_A.weight": (2, 8), "q.lora_B.weight": (8, 2)})
    >>> [pair.path for pair in adapter_pairs(space)]
    ['q']
    """
    pairs = [AdapterPair(name.removesuffix(LORA_A)) for name in space.shapes if name.endswith(LORA_A)]
    return [pair for pair in pairs if pair.b in space.shapes]


def rank_masks(space: ParamSpace, ranks: Sequence[int]) -> Tensor:
    """:func:`rank_mask` of each client's rank, [C, P]."""
    import torch

    masks = {rank: rank_mask(space, rank) for rank in set(ranks)}
    return torch.stack([masks[rank] for rank in ranks])


def rank_mask(space: ParamSpace, rank: int) -> Tensor:
    """1 for the numbers [P] of ``space`` that a client whose adapters have ``rank`` holds, 0 for the others:
    the first rows of each A and the first columns of each B, and all that belongs to no adapter.

    >>> from fedbench import ParamSpace, rank_mask
    >>> space = ParamSpace({"q.lora_A.weight": (2, 3), "q.lora_B.weight": (2, 2)})
    >>> rank_mask(space, 1).tolist()
    [1.0, 1.0, 1.0, 0.0, 0.0, 0.0, 1.0, 0.0, 1.0, 0.0]
    """
    import torch

    def held(name: str, shape: tuple[int, ...]) -> Tensor:
        ones = torch.ones(shape)
        if name.endswith(LORA_A):
            ones[rank:] = 0
        elif name.endswith(LORA_B):
            ones[:, rank:] = 0
        return ones

    return space.flatten({name: held(name, shape) for name, shape in space.shapes.items()})
