"""FedAdam, FedYogi, FedAdagrad — Reddi et al. 2021, "Adaptive Federated Optimization",
arXiv 2003.00295, Algorithm 2. The mean update is the server's (negative) gradient; no bias correction.

    Δ = Σ_k p_k Δ_k ,   m ← β1 m + (1−β1) Δ ,   v₀ = τ²
    Adam:     v ← β2 v + (1−β2) Δ²
    Yogi:     v ← v − (1−β2) Δ² sign(v − Δ²)
    Adagrad:  v ← v + Δ²
    x ← x + η m / (√v + τ)
"""

from __future__ import annotations

import torch
from torch import Tensor

from fedbench import Aggregator, CohortSum, Context, State, column_blocks
from fedbench_baselines.options import FedOptOptions

VECTORS = 4
"""Rows of the column blocks: x, m, v and Δ, and what is computed of a block stays in cache."""


class FedOpt(Aggregator):
    """The part that all three share. State: ``params`` x, ``first`` m and ``second`` v, all [P]."""

    needs = "sum"

    def __init__(self, options: FedOptOptions) -> None:
        self.options = options

    def initial_state(self, params: Tensor, context: Context) -> State:
        second = torch.full_like(params, self.options.tau**2)
        return {"params": params, "first": torch.zeros_like(params), "second": second}

    def aggregate(self, state: State, cohort: CohortSum) -> State:
        o = self.options
        after = {name: torch.empty_like(vector) for name, vector in state.items()}
        update = cohort.mean("updates")  # Δ
        for block in column_blocks(VECTORS, len(update)):
            delta = update[block]
            first = o.beta1 * state["first"][block] + (1 - o.beta1) * delta
            second = self.second_moment(state["second"][block], delta.square())
            after["params"][block] = state["params"][block] + o.eta * first / (second.sqrt() + o.tau)
            after["first"][block], after["second"][block] = first, second
        return after

    def second_moment(self, second: Tensor, squared: Tensor) -> Tensor:
        """The new v, from the last v and Δ²."""
        raise NotImplementedError


class FedAdam(FedOpt):
    """v is a moving average."""

    def second_moment(self, second: Tensor, squared: Tensor) -> Tensor:
        return self.options.beta2 * second + (1 - self.options.beta2) * squared


class FedYogi(FedOpt):
    """v moves by at most a share of Δ²."""

    def second_moment(self, second: Tensor, squared: Tensor) -> Tensor:
        return second - (1 - self.options.beta2) * squared * (second - squared).sign()


class FedAdagrad(FedOpt):
    """v is a sum."""

    def second_moment(self, second: Tensor, squared: Tensor) -> Tensor:
        return second + squared
