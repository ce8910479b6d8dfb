"""HetLoRA — Cho et al. 2024, "Heterogeneous LoRA for Federated Fine-tuning of On-Device Foundation Models",
arXiv 2401.06432.

Factors are padded with zeros to the largest rank and averaged by how much each client's adapter does:

    A ← Σ_k w_k A_k ,   B ← Σ_k w_k B_k ,   w_k = ‖ΔW_k‖_F / Σ_j ‖ΔW_j‖_F   over all linears together

Each client gets the first rows and columns of its own rank. Rank pruning by a penalty is not part of this.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from fedbench import Cohort, Options, State
from fedbench_lora.factors import LoraAggregator, cross_terms, factors, norm_of_product, replaced


class HetLora(LoraAggregator):
    """The mean of zero-padded factors, weighted by the adapters' norms; everything else by examples."""

    mixed_ranks = True

    def __init__(self, options: Options) -> None:
        self.options = options

    def aggregate(self, state: State, cohort: Cohort) -> State:
        weights = self.weights(cohort)
        new = {}
        for pair, b, a in factors(cohort):
            new |= {pair.b: torch.tensordot(weights, b, dims=1), pair.a: torch.tensordot(weights, a, dims=1)}
        return {
            "params": replaced(cohort.space, cohort.mean("params"), new),
            "cross_terms": cross_terms(cohort, weights).to(cohort.params),
        }

    def weights(self, cohort: Cohort) -> Tensor:
        """w_k, [C]; by examples where no adapter does anything yet."""
        squares = torch.stack([norm_of_product(b, a).square() for _, b, a in factors(cohort)])
        norms = squares.sum(0).sqrt()
        return (norms / norms.sum()).to(cohort.params) if norms.sum() > 0 else cohort.weights

    def diagnostics(self, state: State) -> Mapping[str, Any]:
        return {"cross_terms": float(state["cross_terms"])} if "cross_terms" in state else {}
