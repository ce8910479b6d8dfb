"""Orthogonality-preserved momentum (OPM): the shared basis moves slowly and stays orthonormal.

    Align: flip column i of Û_r where ⟨u_{r−1}^(i), û_r^(i)⟩ < 0
    U_r = Orth(β U_{r−1} + (1−β) Align(Û_r)),   Orth(PΛQᵀ) = PQᵀ
    Σ_r = β Σ_{r−1} + (1−β) Σ̂_r
    β   = β_min + (β_max − β_min)(1 − CosDis^λ),   CosDis = mean of 1 − cos over columns i

Only signs and order may be aligned: a Procrustes rotation would turn a square Û_r into U_{r−1}
exactly, and momentum would do nothing.
"""

from __future__ import annotations

from typing import Literal

import torch
from scipy.optimize import linear_sum_assignment
from torch import Tensor
from torch.nn.functional import cosine_similarity

from fedbench_fedcmp.canonical import Basis
from fedbench_fedcmp.options import FedCMPOptions

# Below this ratio of squared singular values the Gram route to the polar factor isn't accurate.
ILL_CONDITIONED = 1e-10


def align(previous: Basis, current: Basis, how: Literal["sign", "match"]) -> Basis:
    """``current`` with its columns' signs (and, for ``match``, order) chosen to fit ``previous``.

    The V_k must be computed from what this returns, so that each carries the same flips and order:
    flipping U alone destroys W = U Σ Vᵀ.
    """
    if how == "match":
        current = current.take(_matching(previous.directions, current.directions))
    signs = torch.ones_like(current.scales)
    similarity = cosines(previous.directions, current.directions)
    signs[: len(similarity)] = torch.where(similarity < 0, -1.0, 1.0)
    return Basis(current.directions * signs, current.scales)


def _matching(previous: Tensor, current: Tensor) -> Tensor:
    """The order of ``current``'s columns that maximises Σ|cos|; unmatched columns come last."""
    shared = min(previous.shape[1], current.shape[1])
    similarity = (previous[:, :shared].T @ current).abs()
    _, matched = linear_sum_assignment(similarity.cpu().numpy(), maximize=True)
    matched = torch.as_tensor(matched, device=current.device)
    order = torch.arange(current.shape[1], device=current.device)
    return torch.cat([matched, order[~torch.isin(order, matched)]])


def cosines(previous: Tensor, current: Tensor) -> Tensor:
    """cos of corresponding columns, as many as both matrices have."""
    shared = min(previous.shape[1], current.shape[1])
    return cosine_similarity(previous[:, :shared], current[:, :shared], dim=0)


def shift(similarity: Tensor) -> Tensor:
    """CosDis in [0, 1], a scalar, from the cosines of corresponding columns."""
    return (1 - similarity).mean().clamp(0, 1)


def momentum(cos_dis: Tensor, options: FedCMPOptions) -> Tensor:
    """β, a scalar. ``eq8`` falls with the shift, as printed; ``shift`` rises, as the text says."""
    if options.beta_rule == "fixed":
        return torch.full_like(cos_dis, options.beta)
    shifted = cos_dis**options.lam
    share = 1 - shifted if options.beta_rule == "eq8" else shifted
    return options.beta_min + (options.beta_max - options.beta_min) * share


def blend(previous: Tensor, current: Tensor, beta: Tensor) -> Tensor:
    """β·previous + (1−β)·current along the last axis.

    Columns that only ``current`` has are new and enter as they are; those it lacks are dropped.
    """
    shared = min(previous.shape[-1], current.shape[-1])
    mixed = current.clone()
    mixed[..., :shared] = beta * previous[..., :shared] + (1 - beta) * current[..., :shared]
    return mixed


def orthogonalise(matrix: Tensor) -> Tensor:
    """Orth(M) = M (MᵀM)^{−1/2}, the nearest matrix with orthonormal columns, of M [I, s], s ≤ I."""
    squares, rotation = torch.linalg.eigh(matrix.T @ matrix)
    if squares[0] <= ILL_CONDITIONED * squares[-1]:
        left, _, right = torch.linalg.svd(matrix, full_matrices=False)
        exact: Tensor = left @ right
        return exact
    polar: Tensor = matrix @ ((rotation * squares.rsqrt()) @ rotation.T)
    # What the Gram matrix cost in accuracy, one Newton–Schulz step returns.
    return polar + 0.5 * (polar - polar @ (polar.T @ polar))


def orthogonality_error(matrix: Tensor) -> float:
    """max |UᵀU − I| of U [I, s]."""
    identity = torch.eye(matrix.shape[1], dtype=matrix.dtype, device=matrix.device)
    return float((matrix.T @ matrix - identity).abs().max())
