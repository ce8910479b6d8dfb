"""FedExP — Jhunjhunwala et al. 2023, "FedExP: Speeding Up Federated Averaging via Extrapolation",
arXiv 2301.09604, Algorithm 1: the more the updates disagree, the larger the server's step.

    Δ̄ = Σ_k p_k Δ_k ,   η = max(1, Σ_k p_k ‖Δ_k‖² / (2 (‖Δ̄‖² + ε))) ,   x ← x + η Δ̄

What is evaluated is the mean of the last two x, since x itself oscillates (§4.3). Each client sends ‖Δ_k‖²,
one number, so that sums are enough. The paper's clients are equally large: p_k = 1/K.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from torch import Tensor

from fedbench import (
    Aggregator,
    Clients,
    CohortSum,
    Context,
    LocalRound,
    LocalRule,
    ParamSpace,
    State,
    Traffic,
)
from fedbench_baselines.options import FedExPOptions


class FedExP(Aggregator):
    """State: ``params`` x, ``previous`` the x before it, and ``eta`` η."""

    needs = "sum"

    def __init__(self, options: FedExPOptions) -> None:
        self.eps = options.eps

    def traffic(self, space: ParamSpace) -> Traffic:
        return Traffic(up={"squared_norm": ()})

    def initial_state(self, params: Tensor, context: Context) -> State:
        return {"params": params, "previous": params, "eta": params.new_ones(())}

    def local_rule(self, clients: Clients) -> LocalRule:
        return LocalRule(sends={"squared_norm": squared_norm})

    def aggregate(self, state: State, cohort: CohortSum) -> State:
        update = cohort.mean("updates")  # Δ̄
        eta = cohort.mean("squared_norm") / (2 * (update.square().sum() + self.eps))
        eta = eta.clamp_min(1)
        return {"params": state["params"] + eta * update, "previous": state["params"], "eta": eta}

    def params_for(self, state: State, client: int | None = None) -> Tensor:
        return (state["params"] + state["previous"]) / 2 if client is None else state["params"]

    def diagnostics(self, state: State) -> Mapping[str, Any]:
        return {"eta": state["eta"].item()}


def squared_norm(local: LocalRound) -> Tensor:
    """‖Δ_k‖² [C]."""
    return (local.params - local.start).square().sum(1)
