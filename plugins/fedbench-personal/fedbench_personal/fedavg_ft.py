"""FedAvg with local fine-tuning — the baseline that often wins: Wang et al. 2019, "Federated Evaluation of
On-device Personalization", arXiv 1910.10252; Cheng et al. 2021, arXiv 2108.07313.

After the last round of FedAvg every client trains the global model on all of its own examples once more and
keeps the result, which is scored. The examples count; nothing is sent for it.
"""

from __future__ import annotations

from collections.abc import Sequence

from fedbench import ParamSpace, Phase
from fedbench_personal.averaged import Averaged
from fedbench_personal.options import FedAvgFTOptions


class FedAvgFT(Averaged):
    """FedAvg, then a phase of its own for every client."""

    def __init__(self, options: FedAvgFTOptions) -> None:
        self.options = options

    def phases(self, space: ParamSpace) -> Sequence[Phase]:
        return Phase(), Phase(at_end=True, share=self.options.passes)
