"""FedProx — Li et al. 2020, "Federated Optimization in Heterogeneous Networks", arXiv 1812.06127, eq. 2.

FedAvg, but client k minimises  F_k(w) + (μ/2)‖w − x‖²,  that is, its gradient gains  μ (w − x).
"""

from __future__ import annotations

from fedbench import Clients, LocalRule
from fedbench_baselines.fedavg import FedAvg
from fedbench_baselines.options import FedProxOptions


class FedProx(FedAvg):
    """FedAvg with a proximal term in each client's gradient."""

    def __init__(self, options: FedProxOptions) -> None:
        super().__init__(options)
        self.mu = options.mu

    def local_rule(self, clients: Clients) -> LocalRule:
        return LocalRule(gradient=lambda grads, params, anchor: grads + self.mu * (params - anchor))
