"""FedAvgM — Hsu et al. 2019, "Measuring the Effects of Non-Identical Data Distribution for Federated
Visual Classification", arXiv 1909.06335, §4.3: momentum on the server.

    v ← β v + Σ_k p_k Δ_k ,   x ← x + η v
"""

from __future__ import annotations

import torch
from torch import Tensor

from fedbench import Aggregator, CohortSum, Context, State
from fedbench_baselines.options import FedAvgMOptions


class FedAvgM(Aggregator):
    """State: ``params`` x and ``velocity`` v, both [P]."""

    needs = "sum"

    def __init__(self, options: FedAvgMOptions) -> None:
        self.options = options

    def initial_state(self, params: Tensor, context: Context) -> State:
        return {"params": params, "velocity": torch.zeros_like(params)}

    def aggregate(self, state: State, cohort: CohortSum) -> State:
        velocity = self.options.beta * state["velocity"]
        velocity += cohort.mean("updates")
        params = self.options.eta * velocity
        params += state["params"]
        return {"params": params, "velocity": velocity}
