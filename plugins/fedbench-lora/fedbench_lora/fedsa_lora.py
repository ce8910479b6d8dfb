"""FedSA-LoRA — Guo et al. 2024, "Selective Aggregation for Low-Rank Adaptation in Federated Learning",
arXiv 2410.01463.

Both factors are trained; A, which learns what clients share, is averaged, and B stays with its client:

    A ← Σ_k p_k A_k ,   B_k its own
"""

from __future__ import annotations

from fedbench import Options, ParamSpace, Traffic
from fedbench_lora.factors import Averaged, pairs_of


class FedSALora(Averaged):
    """The mean of A; every client keeps its B."""

    def __init__(self, options: Options) -> None:
        self.options = options

    def traffic(self, space: ParamSpace) -> Traffic:
        own = {pair.b for pair in pairs_of(space)}
        return Traffic(params=[name for name in space.shapes if name not in own])
