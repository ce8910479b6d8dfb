"""FedEx-LoRA — Singhal et al. 2024, "FedEx-LoRA: Exact Aggregation for Federated and Efficient Fine-Tuning of
Foundation Models", arXiv 2410.09432.

Both factors are averaged, and the base takes up what that is wrong by; the adapters go on:

    A ← Σ_k p_k A_k ,   B ← Σ_k p_k B_k ,   W ← W + s · (Σ_k p_k B_k A_k − B A)

The residual is Σ_k p_k (B_k − B)(A_k − A), which goes down as factors of rank (K − 1)·r.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from fedbench import Cohort, Options, State
from fedbench_lora.factors import LoraAggregator, factors, norm_of_product, residual

B_REST, A_REST = "residual_b/", "residual_a/"
"""The residual's factors in the server's state, by the linear's path."""


class FedExLora(LoraAggregator):
    """FedAvg of the factors; the base moves by their mean's error."""

    def __init__(self, options: Options) -> None:
        self.options = options

    def aggregate(self, state: State, cohort: Cohort) -> State:
        rest = {}
        for pair, b, a in factors(cohort):
            rest[f"{B_REST}{pair.path}"], rest[f"{A_REST}{pair.path}"] = residual(cohort.weights, b, a)
        return {"params": cohort.mean("params"), **rest}

    def base_update(self, state: State) -> Mapping[str, tuple[Tensor, Tensor]]:
        paths = [name.removeprefix(B_REST) for name in state if name.startswith(B_REST)]
        return {path: (state[f"{B_REST}{path}"], state[f"{A_REST}{path}"]) for path in paths}

    def diagnostics(self, state: State) -> Mapping[str, Any]:
        if not (moves := self.base_update(state).values()):
            return {}
        squares = torch.stack([norm_of_product(*move).square() for move in moves])
        return {"cross_terms": float(squares.sum().sqrt())}
