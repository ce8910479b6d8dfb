"""Ditto — Li et al. 2021, "Ditto: Fair and Robust Federated Learning Through Personalization",
arXiv 2012.04221, Algorithm 1: beside its part in FedAvg each client trains a model v of its own,

    min_v  F_k(v) + (λ/2) ‖v − w‖² ,   w the global model that it was sent

on the round's examples again, so a round trains on twice as many.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from torch import Tensor

from fedbench import Clients, LocalRule, ParamSpace, Phase
from fedbench_personal.averaged import Averaged
from fedbench_personal.options import DittoOptions


class Ditto(Averaged):
    """FedAvg; each client keeps ``personal``, its v, which is what is scored."""

    own_model = "personal"

    def __init__(self, options: DittoOptions) -> None:
        self.lam = options.lam

    def initial_client_state(self, params: Tensor) -> Mapping[str, Tensor]:
        return {"personal": params}

    def phases(self, space: ParamSpace) -> Sequence[Phase]:
        return Phase(), Phase(copy="personal", rule=self.near_the_global_model)

    def near_the_global_model(self, clients: Clients) -> LocalRule:
        """The rule of the personal phase: the gradient of F_k gains λ(v − w)."""
        return LocalRule(gradient=lambda grads, params, anchor: grads + self.lam * (params - anchor))
