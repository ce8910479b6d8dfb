"""SCAFFOLD — Karimireddy et al. 2020, arXiv 1910.06378, Algorithm 1: client k corrects each gradient by
the server's control variate c and its own c_k, which estimate the global and its own gradient.

    g ← g − c_k + c
    c_k⁺ = mean over its local steps of its own gradient g
    x ← Σ_k p_k y_k ,   c ← c + (1/N) Σ_k (c_k⁺ − c_k)       N clients in all

For plain SGD at a constant rate c_k⁺ is the paper's option II, c_k − c + (x − y_k)/(Kη). Written with the
gradients themselves it also holds for an adaptive optimiser and a schedule, where (x − y_k)/(Kη) is no
gradient at all: the correction is on the gradient, before clipping and the optimiser. A second vector of P
travels each way: c down, c_k⁺ − c_k up.
"""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor

from fedbench import (
    Aggregator,
    Clients,
    CohortSum,
    Context,
    LocalRule,
    Options,
    ParamSpace,
    State,
    Traffic,
)


class Scaffold(Aggregator):
    """State: ``params`` x, ``control`` c and ``clients`` N; each client keeps ``control``, its c_k."""

    needs = "sum"

    def __init__(self, options: Options) -> None:
        self.options = options

    def traffic(self, space: ParamSpace) -> Traffic:
        return Traffic(down={"control": (space.size,)}, up={"control_update": (space.size,)})

    def initial_state(self, params: Tensor, context: Context) -> State:
        return {
            "params": params,
            "control": torch.zeros_like(params),  # c
            "clients": torch.tensor(context.clients),  # N
        }

    def initial_client_state(self, params: Tensor) -> Mapping[str, Tensor]:
        return {"control": torch.zeros_like(params)}  # c_k

    def local_rule(self, clients: Clients) -> LocalRule:
        control = clients.client_state["control"]
        correction = clients.received["control"] - control
        return LocalRule(
            gradient=lambda grads, params, anchor: grads + correction,
            client_state={"control": lambda local: local.mean_gradient},
            sends={"control_update": lambda local: local.mean_gradient - control},
        )

    def aggregate(self, state: State, cohort: CohortSum) -> State:
        return {
            **state,
            "params": cohort.mean("params"),
            "control": state["control"] + cohort.sum("control_update") / state["clients"],
        }
