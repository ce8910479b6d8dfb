"""Where a run stands: the value that goes through the round loop, a run of either track and a checkpoint."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from fedbench.api.aggregator import State
from fedbench.api.metrics import Costs
from fedbench.federation.client_state import ClientState
from fedbench.federation.moved_base import MovedBase
from fedbench.federation.updates import Updates


@dataclass(frozen=True)
class RunState:
    """All that the rounds after ``round`` follow from, besides what stays the same for the whole run.

    ``round``: rounds finished, 0 before the first. ``state``: the server's named tensors.
    ``client_state``: what every client keeps, [N, P] by name. ``late``: updates that the next round takes.
    ``spent``: what the rounds so far have cost, evaluation left out. ``moved``: how far the method has moved
    the frozen base. ``took_part``: by client, the last round in which it trained.
    """

    round: int
    state: State
    client_state: ClientState = field(default_factory=dict)
    late: Updates = field(default_factory=dict)
    spent: Costs = field(default_factory=Costs)
    moved: MovedBase = field(default_factory=MovedBase)
    took_part: Mapping[int, int] = field(default_factory=dict)
