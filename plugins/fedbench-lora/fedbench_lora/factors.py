"""What the methods of this package share: the pairs of factors, the mean of the rest, and the error of a
mean.

A_k [r, I] and B_k [O, r] are client k's factors of one linear, ΔW_k = s · B_k A_k with s = α/r.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import torch
from torch import Tensor

from fedbench import (
    AdapterPair,
    Aggregator,
    Cohort,
    CohortSum,
    ParamSpace,
    State,
    Traffic,
    UsageError,
    adapter_pairs,
)


class LoraAggregator(Aggregator):
    """A method that merges adapters; refuses a scenario that trains none."""

    def traffic(self, space: ParamSpace) -> Traffic:
        pairs_of(space)
        return Traffic()


class Averaged(Aggregator):
    """x ← Σ_k p_k y_k ,   p_k = n_k / Σ n over the cohort, of whatever travels."""

    needs = "sum"

    def aggregate(self, state: State, cohort: CohortSum) -> State:
        return {"params": cohort.mean("params")}


def pairs_of(space: ParamSpace) -> list[AdapterPair]:
    """The adapters in ``space``; :class:`UsageError` if there are none."""
    if pairs := adapter_pairs(space):
        return pairs
    raise UsageError(
        "there are no adapters to merge",
        why="the scenario trains the projector only",
        fix="use a scenario with trainable = 'lora' or 'projector+lora'",
    )


def factors(cohort: Cohort) -> Iterator[tuple[AdapterPair, Tensor, Tensor]]:
    """Each linear's factors of all clients: B [C, O, r] and A [C, r, I]."""
    views = cohort.space.views(cohort.params)
    for pair in pairs_of(cohort.space):
        yield pair, views[pair.b], views[pair.a]


def stacked(weights: Tensor, b: Tensor, a: Tensor) -> tuple[Tensor, Tensor]:
    """B [O, C·r] and A [C·r, I] with B A = Σ_k w_k B_k A_k: [w_1 B_1, …, w_C B_C] and [A_1; …; A_C]."""
    return (weights[:, None, None] * b).movedim(0, 1).flatten(1), a.flatten(0, 1)


def residual(weights: Tensor, b: Tensor, a: Tensor) -> tuple[Tensor, Tensor]:
    """Factors of Σ p_k B_k A_k − B̄ Ā = Σ p_k (B_k − B̄)(A_k − Ā), of rank (C − 1)·r at most.

    Σ p_k (B_k − B̄) = 0 makes one client's term superfluous: the sum is Σ_{k<C} p_k (B_k − B̄)(A_k − A_C).
    """
    mean = torch.tensordot(weights, b, dims=1)
    return stacked(weights[:-1], (b - mean)[:-1], (a - a[-1])[:-1])


def cross_terms(cohort: Cohort, weights: Tensor) -> Tensor:
    """‖Σ w_k B_k A_k − B̄ Ā‖_F over all linears, without s: what a mean of the factors is wrong by."""
    squares = [norm_of_product(*residual(weights, b, a)).square() for _, b, a in factors(cohort)]
    return torch.stack(squares).sum().sqrt()


def norm_of_product(b: Tensor, a: Tensor) -> Tensor:
    """‖B A‖_F for B [..., O, r] and A [..., r, I], from the r × r Gram matrices alone."""
    b, a = b.double(), a.double()
    return ((b.mT @ b) * (a @ a.mT)).sum((-1, -2)).clamp_min(0).sqrt()


def replaced(space: ParamSpace, params: Tensor, tensors: Mapping[str, Tensor]) -> Tensor:
    """``params`` [P] with other ``tensors`` in the place of those of their names."""
    return space.flatten({**space.views(params), **tensors}, params.dtype)
