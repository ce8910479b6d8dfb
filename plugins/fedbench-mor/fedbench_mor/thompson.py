"""Neural Thompson sampling on the router's linear head (arXiv 2605.03426, §3.4).

Only the head learns online, so U is block-diagonal: one matrix per client, σ²_k = λ gᵀ U_k⁻¹ g. g is the
head's feature h at unit length, so that λ and ν mean the same whatever the router's scale; the head reads h.
"""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor
from torch.nn import functional as F

Arms = Mapping[str, Tensor]
"""``weight`` [K, d] and ``bias`` [K]: the head φ; ``weight0``, ``bias0``: φ₀, as fitted; ``U`` [K, d, d]."""


def first(weight: Tensor, bias: Tensor, lam: float) -> Arms:
    """The arms before any feedback: U_k = λ I."""
    ridge = lam * torch.eye(weight.shape[1], dtype=torch.float64).expand(len(weight), -1, -1)
    return {"weight": weight, "bias": bias, "weight0": weight, "bias0": bias, "U": ridge.contiguous()}


def estimates(arms: Arms, h: Tensor) -> Tensor:
    """r̂ = σ(z), [N, K], from the head's inputs h [N, d]."""
    return (h @ arms["weight"].T + arms["bias"]).sigmoid()


def deviations(arms: Arms, h: Tensor, lam: float) -> Tensor:
    """σ_k = √(λ gᵀ U_k⁻¹ g), [N, K]."""
    unit = F.normalize(h.double(), dim=1).T.expand(len(arms["U"]), -1, -1)
    solved = torch.linalg.solve(arms["U"], unit)
    return (lam * (unit * solved).sum(1)).clamp_min(0).sqrt().T.to(h.dtype)


def chosen(arms: Arms, h: Tensor, nu: float, lam: float, stream: torch.Generator) -> Tensor:
    """The client to query for each answer, [N]: argmax_k r̃_k with r̃_k ~ N(r̂_k, ν² σ²_k)."""
    noise = torch.randn(len(h), len(arms["U"]), generator=stream).to(h)
    return (estimates(arms, h) + nu * deviations(arms, h, lam) * noise).argmax(1)


def covariance_update(arms: Arms, h: Tensor, arm: Tensor) -> Arms:
    """The arms after client ``arm`` [N] was queried about each answer, h [N, d]: U_k ← U_k + Σ g gᵀ."""
    unit = F.normalize(h.double(), dim=1)
    mine = F.one_hot(arm, len(arms["U"])).double()
    return {**arms, "U": arms["U"] + torch.einsum("nk,nd,ne->kde", mine, unit, unit)}


def head_update(arms: Arms, h: Tensor, arm: Tensor, reward: float, *, lam: float, lr: float) -> Arms:
    """The arms after those answers were worth r, ``reward``: a gradient step of the head on
    ½(r̂ − r)² + (λ/2)‖φ − φ₀‖²."""
    mine = F.one_hot(arm, len(arms["U"])).to(h.dtype)
    estimate = estimates(arms, h)  # r̂
    slope = mine * (estimate - reward) * estimate * (1 - estimate) / len(h)
    return {
        **arms,
        "weight": arms["weight"] - lr * (slope.T @ h + lam * (arms["weight"] - arms["weight0"])),
        "bias": arms["bias"] - lr * (slope.sum(0) + lam * (arms["bias"] - arms["bias0"])),
    }
