"""FFA-LoRA — Sun et al. 2024, "Improving LoRA in Privacy-preserving Federated Learning", arXiv 2403.12313.

A stays as it was drawn, the same for all; only B is trained and averaged:

    B ← Σ_k p_k B_k ,   so that  B A = Σ_k p_k B_k A  exactly
"""

from __future__ import annotations

from collections.abc import Callable

from torch import Generator, Tensor

from fedbench import Options, Parametrisation, ParamSpace
from fedbench_lora.factors import Averaged, pairs_of


class FFALora(Averaged):
    """The mean of B; A is frozen."""

    def __init__(self, options: Options) -> None:
        self.options = options

    def parametrisation(
        self, params: Tensor, space: ParamSpace, stream: Callable[..., Generator]
    ) -> Parametrisation:
        return AllButA(params, space)


class AllButA:
    """Everything but the adapters' A, which are those of ``params`` [P] for ever."""

    def __init__(self, params: Tensor, space: ParamSpace) -> None:
        frozen = {pair.a for pair in pairs_of(space)}
        self.whole, views = space, space.views(params)
        self.frozen = {name: views[name] for name in frozen}
        self.space = space.only([name for name in space.shapes if name not in frozen])

    def initial(self, params: Tensor) -> Tensor:
        views = self.whole.views(params)
        return self.space.flatten({name: views[name] for name in self.space.shapes}, params.dtype)

    def expand(self, params: Tensor) -> Tensor:
        batch = params.shape[:-1]
        frozen = {name: value.expand(*batch, *value.shape) for name, value in self.frozen.items()}
        return self.whole.flatten(frozen | self.space.views(params), params.dtype)
