"""FedDyn — Acar et al. 2021, "Federated Learning Based on Dynamic Regularization", arXiv 2111.04263,
Algorithm 1: each client's loss is corrected so that its stationary points are the global one's.

    client   gradient + α (w − x) − h_k ,   h_k ← h_k − α (y_k − x)
    server   h ← h − (α/N) Σ_k (y_k − x) ,   x ← mean_k y_k − h/α       N clients in all

The correction is on the gradient, before clipping and the optimiser. Means are unweighted, as in the paper.
"""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor

from fedbench import Aggregator, Clients, CohortSum, Context, LocalRule, State
from fedbench_baselines.options import FedDynOptions


class FedDyn(Aggregator):
    """State: ``params`` x, ``correction`` h and ``clients`` N; each client keeps ``correction``, its h_k."""

    needs = "sum"

    def __init__(self, options: FedDynOptions) -> None:
        self.alpha = options.alpha

    def initial_state(self, params: Tensor, context: Context) -> State:
        return {
            "params": params,
            "correction": torch.zeros_like(params),  # h
            "clients": torch.tensor(context.clients),  # N
        }

    def initial_client_state(self, params: Tensor) -> Mapping[str, Tensor]:
        return {"correction": torch.zeros_like(params)}  # h_k

    def local_rule(self, clients: Clients) -> LocalRule:
        h = clients.client_state["correction"]
        return LocalRule(
            gradient=lambda grads, params, anchor: grads + self.alpha * (params - anchor) - h,
            client_state={"correction": lambda local: h - self.alpha * (local.params - local.start)},
        )

    def aggregate(self, state: State, cohort: CohortSum) -> State:
        h = state["correction"] - self.alpha * cohort.sum("updates") / state["clients"]
        mean = cohort.sum("params") / len(cohort.clients)
        return {**state, "params": mean - h / self.alpha, "correction": h}
