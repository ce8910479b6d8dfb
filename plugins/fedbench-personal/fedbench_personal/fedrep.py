"""FedRep — Collins et al. 2021, "Exploiting Shared Representations for Personalized Federated Learning",
arXiv 2102.07078, Algorithm 1: in each round a client trains its head with the body fixed, then the body with
the head fixed. The body is averaged, the head stays.
"""

from __future__ import annotations

from collections.abc import Sequence

from fedbench import LocalRule, ParamSpace, Phase
from fedbench_personal.fedper import FedPer
from fedbench_personal.options import FedRepOptions


class FedRep(FedPer):
    """FedPer, with head and body trained one after the other."""

    options: FedRepOptions

    def phases(self, space: ParamSpace) -> Sequence[Phase]:
        head, body = self.divided(space)
        share = self.options.head_share
        return (
            Phase(rule=lambda clients: LocalRule(trains=head), share=share),
            Phase(rule=lambda clients: LocalRule(trains=body), share=1 - share),
        )
