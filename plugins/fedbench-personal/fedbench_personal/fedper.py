"""FedPer — Arivazhagan et al. 2019, "Federated Learning with Personalization Layers", arXiv 1912.00818.

Each client trains all layers, as in FedAvg; the last ones, the head, stay with it and are never averaged.
Where adapters alone are trained, the head is B of each.
"""

from __future__ import annotations

from fedbench import ParamSpace, Traffic, UsageError, adapter_pairs
from fedbench_personal.averaged import Averaged
from fedbench_personal.options import LAST, FedPerOptions


class FedPer(Averaged):
    """FedAvg of the body; the head stays."""

    def __init__(self, options: FedPerOptions) -> None:
        self.options = options

    def traffic(self, space: ParamSpace) -> Traffic:
        return Traffic(params=self.divided(space)[1])

    def divided(self, space: ParamSpace) -> tuple[list[str], list[str]]:
        """The names of the head's tensors, and of the body's."""
        of_layer = {
            layer: [name for name in space.shapes if f"{name}.".startswith(f"{layer}.")]
            for layer in self.options.head
        }
        if self.options.head == LAST and not any(of_layer.values()) and (pairs := adapter_pairs(space)):
            of_layer = {pair.b: [pair.b] for pair in pairs}
        if strange := [layer for layer, names in of_layer.items() if not names]:
            raise UsageError(
                f"option 'head': there is no layer {strange[0]!r}",
                why=f"the trained tensors are {', '.join(space.shapes)}",
            )
        head = [name for names in of_layer.values() for name in names]
        return head, [name for name in space.shapes if name not in head]
