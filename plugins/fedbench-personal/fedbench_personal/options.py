"""Options of the personalised methods: a class for each. Imports no torch."""

from __future__ import annotations

from pydantic import Field

from fedbench import Options

LAST = ("down",)
"""The projector's last layer."""


class FedPerOptions(Options):
    """Options of ``fedper``, see ``fedper.py``."""

    head: tuple[str, ...] = Field(
        LAST,
        description="layers that stay with each client, or tensors of them; by default the projector's"
        " last, or B"
        " of every adapter where adapters alone are trained",
    )


class FedRepOptions(FedPerOptions):
    """Options of ``fedrep``, see ``fedrep.py``."""

    head_share: float = Field(
        0.5, ge=0, le=1, description="share of each round in which the head is trained, before the body"
    )


class DittoOptions(Options):
    """Options of ``ditto``, see ``ditto.py``."""

    lam: float = Field(0.1, ge=0, description="weight λ of the pull (λ/2)‖v − w‖² towards the global model")


class FedAvgFTOptions(Options):
    """Options of ``fedavg-ft``, see ``fedavg_ft.py``."""

    passes: float = Field(
        1.0, ge=0, le=100, description="passes of each client over its own examples after the last round"
    )
