"""MOON — Li et al. 2021, "Model-Contrastive Federated Learning", arXiv 2103.16257, eq. 3. FedAvg, but
client k's loss gains, for each example, with z its pooled projector output, z_g that of the global
projector and z_prev that of the client's own projector after its last round,

    μ · −log( e^{s(z, z_g)/τ} / (e^{s(z, z_g)/τ} + e^{s(z, z_prev)/τ}) ) ,   s = cosine similarity

A client's first z_prev is the initial projector's.
"""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor
from torch.nn.functional import cosine_similarity, softplus

from fedbench import Clients, LocalRule, Signals
from fedbench_baselines.fedavg import FedAvg
from fedbench_baselines.options import MoonOptions


class Moon(FedAvg):
    """FedAvg with a contrastive loss; each client keeps ``previous``, its projector after its last round."""

    def __init__(self, options: MoonOptions) -> None:
        super().__init__(options)
        self.mu, self.tau = options.mu, options.tau

    def initial_client_state(self, params: Tensor) -> Mapping[str, Tensor]:
        return {"previous": params}

    def local_rule(self, clients: Clients) -> LocalRule:
        def contrast(signals: Signals) -> Tensor:
            """μ times the mean contrastive loss of each client's examples, [C]."""
            z = pooled(signals)
            with torch.no_grad():
                z_global, z_previous = (
                    pooled(signals.at(clients.start)),
                    pooled(signals.at(clients.client_state["previous"])),
                )
            towards, away = cosine_similarity(z, z_global, dim=-1), cosine_similarity(z, z_previous, dim=-1)
            each = softplus((away - towards) / self.tau)  # −log of the two-way softmax
            return self.mu * (each * signals.mask).sum(1) / signals.mask.sum(1).clamp_min(1)

        return LocalRule(loss=contrast, client_state={"previous": lambda local: local.params})


def pooled(signals: Signals) -> Tensor:
    """z [C, B, D]: the mean of an image's projected tokens."""
    return signals.visual.mean(2)
