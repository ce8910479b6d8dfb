"""Fed-SB — Singhal et al. 2025, "Fed-SB: A Silver Bullet for Extreme Communication Efficiency and Performance
in (Private) Federated LoRA Fine-Tuning", arXiv 2502.15436.

A and B are frozen and the same for all; only the small R between them is trained, from 0, and averaged:

    ΔW_k = s · B R_k A ,   R ← Σ_k p_k R_k ,   so that  B R A = Σ_k p_k B R_k A  exactly

The paper takes A and B from the singular vectors of a first gradient; here they are random orthonormal
matrices, which need no data and cost nothing to agree upon.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Generator, Tensor

from fedbench import AdapterPair, Options, Parametrisation, ParamSpace
from fedbench_lora.factors import Averaged, pairs_of

LORA_R = ".lora_R.weight"
"""The name of R after the linear's path."""


class FedSB(Averaged):
    """The mean of R."""

    def __init__(self, options: Options) -> None:
        self.options = options

    def parametrisation(
        self, params: Tensor, space: ParamSpace, stream: Callable[..., Generator]
    ) -> Parametrisation:
        return BetweenFactors(params, space, stream("orthonormal"))


class BetweenFactors:
    """R [r, r] in the place of each pair of factors: A has orthonormal rows, B orthonormal columns."""

    def __init__(self, params: Tensor, space: ParamSpace, generator: Generator) -> None:
        self.whole, self.pairs = space, pairs_of(space)
        shapes: dict[str, tuple[int, ...]] = {}
        self.frozen: dict[str, tuple[Tensor, Tensor]] = {}
        of_name = {pair.a: pair for pair in self.pairs}
        factors = {name for pair in self.pairs for name in (pair.a, pair.b)}
        for name, shape in space.shapes.items():
            if name not in factors:
                shapes[name] = shape
            elif name in of_name:
                pair, (rank, inputs) = of_name[name], shape
                outputs, _ = space.shapes[pair.b]
                shapes[f"{pair.path}{LORA_R}"] = (rank, rank)
                a, b = orthonormal(inputs, rank, generator).mT, orthonormal(outputs, rank, generator)
                self.frozen[pair.path] = b.to(params), a.to(params)
        self.space = ParamSpace(shapes)

    def initial(self, params: Tensor) -> Tensor:
        views = self.whole.views(params)
        zeros = params.new_zeros
        start = {name: views.get(name, zeros(shape)) for name, shape in self.space.shapes.items()}
        return self.space.flatten(start, params.dtype)

    def expand(self, params: Tensor) -> Tensor:
        views = self.space.views(params)
        made = {name: value for name, value in views.items() if not name.endswith(LORA_R)}
        for pair in self.pairs:
            made |= self._factors(pair, views[f"{pair.path}{LORA_R}"])
        return self.whole.flatten(made, params.dtype)

    def _factors(self, pair: AdapterPair, between: Tensor) -> dict[str, Tensor]:
        """B R and A of one linear, for R [..., r, r]."""
        b, a = self.frozen[pair.path]
        return {pair.b: b @ between, pair.a: a.expand(*between.shape[:-2], *a.shape)}


def orthonormal(size: int, rank: int, generator: Generator) -> Tensor:
    """A random matrix [size, rank] with orthonormal columns."""
    return torch.linalg.qr(torch.randn(size, rank, generator=generator, dtype=torch.float64))[0]
