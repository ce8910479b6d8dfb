"""The canonical space (CSC): one basis shared by the clients, and their coordinates in it.

    ΔW = [W_1, …, W_K] ∈ R^{I×KO} = U Σ [V_1; …; V_K]ᵀ,   V_f = fuse(V_1, …, V_K),   W = U Σ V_fᵀ

as in KnOTS (arXiv 2410.19735). Torch stores a linear layer as O×I, so tensors here hold W_kᵀ: the
clients' weights are [K, O, I] and their first two axes flattened are ΔWᵀ. Everything is float64.

At full rank W_k = U Σ V_kᵀ exactly, hence U Σ (Σ_k w_k V_k)ᵀ = Σ_k w_k W_k: the space by itself is
weighted averaging. It acts as the coordinates of momentum, when truncated, or when the V_k merge
non-linearly.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

# Singular values below this share of the largest are rounding noise of the Gram matrix.
NEGLIGIBLE = 1e-7


@dataclass(frozen=True, slots=True)
class Basis:
    """The shared alignment basis UΣ: ``directions`` U [I, s], orthonormal, and ``scales`` Σ [s]."""

    directions: Tensor
    scales: Tensor

    def take(self, columns: Tensor | slice) -> Basis:
        """The basis of these columns, in their order."""
        return Basis(self.directions[:, columns], self.scales[columns])


def decompose(weights: Tensor) -> Basis:
    """U and Σ of ΔW from the clients' weights [K, O, I], largest Σ first; s is the rank of ΔW, at least 1.

    An eigen-decomposition of the smaller Gram matrix costs far less than the SVD of I×KO. Null directions are
    arbitrary, so that momentum must not see them: they are cut, as KnOTS does.
    """
    stacked = weights.flatten(0, 1)  # ΔWᵀ
    if stacked.shape[1] <= stacked.shape[0]:
        squares, vectors = torch.linalg.eigh(stacked.T @ stacked)  # ΔW ΔWᵀ = U Σ² Uᵀ
        directions, scales = vectors.flip(1), squares.flip(0).clamp(min=0).sqrt()
    else:
        _, right = torch.linalg.eigh(stacked @ stacked.T)  # ΔWᵀ ΔW = V Σ² Vᵀ
        # ΔW V = U Σ. QR rather than a division by Σ keeps U orthonormal where Σ is tiny.
        directions, triangle = torch.linalg.qr(stacked.T @ right.flip(1))
        scales = triangle.diagonal().abs()
    rank = max(1, int((scales > NEGLIGIBLE * scales.max()).sum()))
    return Basis(directions[:, :rank], scales[:rank])


def truncate(basis: Basis, rank: float | None) -> Basis:
    """The leading columns: an int of them, enough to hold a share of Σσ², or all (None)."""
    if rank is None:
        return basis
    if isinstance(rank, int):
        return basis.take(slice(rank))
    energy = basis.scales.square().cumsum(0)
    return basis.take(slice(int((energy < rank * energy[-1]).sum()) + 1))


def coefficients(weights: Tensor, basis: Basis) -> Tensor:
    """V = Wᵀ U Σ⁻¹ of weights [..., O, I]: [..., O, s], zero where Σ is negligible."""
    scales = basis.scales
    inverse = torch.where(scales > NEGLIGIBLE * scales.max(), 1 / scales, 0.0)
    return weights @ (basis.directions * inverse)


def reconstruct(basis: Basis, coordinates: Tensor) -> Tensor:
    """Wᵀ = V Σ Uᵀ [O, I] from V [O, s]."""
    return (coordinates * basis.scales) @ basis.directions.T


def average(values: Tensor, shares: Tensor) -> Tensor:
    """Σ_k w_k x_k of [K, ...] under w_k [K]."""
    mean: Tensor = torch.tensordot(shares, values, dims=1)
    return mean


def ties(coordinates: Tensor, shares: Tensor, keep: float) -> Tensor:
    """TIES of the V_k [K, O, s] under w_k [K]: [O, s].

    Keep each client's largest entries, elect a sign per entry, average those that agree.
    """
    sizes = coordinates.abs().flatten(1)
    dropped = sizes.shape[1] - max(1, round(keep * sizes.shape[1]))
    smallest_kept = sizes.kthvalue(dropped + 1, dim=1).values
    shares = shares[:, None, None]
    kept = torch.where(coordinates.abs() >= smallest_kept[:, None, None], coordinates, 0.0)
    elected = (shares * kept).sum(0).sign()
    voting = shares * ((kept.sign() == elected) & (kept != 0))
    return (voting * kept).sum(0) / voting.sum(0).clamp(min=torch.finfo(kept.dtype).tiny)


def dare(coordinates: Tensor, shares: Tensor, drop: float, generator: torch.Generator) -> Tensor:
    """DARE of the V_k [K, O, s] under w_k [K]: drop at random, rescale the rest, average."""
    drawn = torch.rand(coordinates.shape, generator=generator, device=generator.device)
    kept = (drawn >= drop).to(coordinates.device) * coordinates / (1 - drop)
    return average(kept, shares)
