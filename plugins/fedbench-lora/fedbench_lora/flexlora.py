"""FlexLoRA — Bai et al. 2024, "Federated Fine-tuning of Large Language Models under Heterogeneous Tasks and
Client Resources", arXiv 2402.11505.

The clients' products are averaged, and each client gets the best approximation of its own rank:

    U Σ Vᵀ = Σ_k p_k B_k A_k ,   B = U_r √Σ_r ,   A = √Σ_r V_rᵀ

The singular value decomposition is that of the stacked factors, so no O × I matrix is made.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from fedbench import Cohort, Options, State
from fedbench_lora.factors import LoraAggregator, factors, replaced, stacked


class FlexLora(LoraAggregator):
    """The mean of the products, cut to each client's rank: the engine sends the first r columns and rows."""

    mixed_ranks = True

    def __init__(self, options: Options) -> None:
        self.options = options

    def aggregate(self, state: State, cohort: Cohort) -> State:
        new: dict[str, Tensor] = {}
        lost = cohort.params.new_zeros((), dtype=torch.float64)
        for pair, b, a in factors(cohort):
            u, sigma, vt = svd_of_product(*stacked(cohort.weights, b, a))
            rank = a.shape[1]
            lost += sigma[rank:].square().sum()
            root = pad(sigma[:rank].sqrt(), rank)
            new[pair.b] = (pad(u[:, :rank], rank) * root).to(b)
            new[pair.a] = (pad(vt[:rank].mT, rank) * root).mT.to(a)
        params = replaced(cohort.space, cohort.mean("params"), new)
        return {"params": params, "truncated": lost.sqrt().to(params)}

    def diagnostics(self, state: State) -> Mapping[str, Any]:
        return {"truncated": float(state["truncated"])} if "truncated" in state else {}


def svd_of_product(b: Tensor, a: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """U [O, n], σ [n] and Vᵀ [n, I] of B A, from QR decompositions of B [O, R] and Aᵀ, in float64."""
    q_b, r_b = torch.linalg.qr(b.double())
    q_a, r_a = torch.linalg.qr(a.double().mT)
    u, sigma, vt = torch.linalg.svd(r_b @ r_a.mT, full_matrices=False)
    return q_b @ u, sigma, vt @ q_a.mT


def pad(values: Tensor, size: int) -> Tensor:
    """``values`` [..., n] with zeros up to [..., size]: few clients can have less rank than one adapter."""
    return torch.nn.functional.pad(values, (0, size - values.shape[-1]))
