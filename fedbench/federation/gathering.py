"""What a round's clients send, as the server takes it in: whole, or summed as it comes; and its merging."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from typing import cast

from torch import Tensor

from fedbench.api.aggregator import State
from fedbench.api.cohort import Cohort
from fedbench.federation.client_state import ClientState, updated
from fedbench.federation.cohort_sums import CohortSums, RunningSums
from fedbench.federation.run_state import RunState
from fedbench.federation.schedule import LeftOut
from fedbench.federation.setup import FederationSetup
from fedbench.federation.updates import (
    CLIENT_STATE,
    Updates,
    clients_of,
    cohort_of,
    finite,
    joined,
    named,
    rebased,
    rows,
)
from fedbench.params import own
from fedbench.rng import torch_stream

KEPT_WHOLE = 2**23
"""Numbers in a cohort's updates [C, S] up to which a method that needs sums only is given exactly the sums of
that matrix. Of a larger cohort each update is added up, in float64, and forgotten."""


@dataclass(frozen=True)
class Received:
    """What the server has of some clients: ``usable`` updates, ``late`` ones that the next round takes, and
    why the others are ``left_out``."""

    usable: Updates
    late: Updates
    left_out: Mapping[int, LeftOut]


def receive(setup: FederationSetup, number: int, updates: Updates) -> Received:
    """Sort out ``updates`` of round ``number``."""
    fault_model, ids = setup.fault_model, clients_of(updates)
    sound = finite(updates)
    late = fault_model.late(number, ids)
    waits = fault_model.spec.late == "next-round"
    left_out = dict.fromkeys(sorted(late), LeftOut.LATE_FOR_NEXT if waits else LeftOut.LATE)
    left_out |= {client: LeftOut.NOT_FINITE for client, ok in zip(ids, sound.tolist(), strict=True) if not ok}
    behind = sound.new_tensor([client in late for client in ids])
    return Received(
        usable=rows(updates, sound & ~behind),
        late=rows(updates, sound & behind) if waits else {},
        left_out=left_out,
    )


class Gathering:
    """Takes in the updates of a round, some clients at a time, after those that were late the round before;
    then merges them."""

    def __init__(self, setup: FederationSetup, state: RunState, number: int, *, in_parts: bool) -> None:
        self._setup, self._before, self._number = setup, state, number
        self.in_parts = in_parts
        self._stream = partial(torch_stream, setup.seed, "method", number)
        self._sums = RunningSums(number, setup.division.travelling, self._stream) if in_parts else None
        self._usable: Updates = {}  # with sums, only what the clients keep
        self.late: Updates = {}
        self.left_out: dict[int, LeftOut] = {}
        self._add(rebased(state.late, partial(sent_to, setup, state)))

    def take(self, updates: Updates) -> None:
        """Take in what some clients have sent."""
        if not clients_of(updates):
            return
        received = receive(self._setup, self._number, updates)
        self.late = joined(self.late, received.late)
        self.left_out |= received.left_out
        self._add(received.usable)

    def merge(self) -> tuple[State, ClientState]:
        """The server's and the clients' state after the round; unchanged if nothing usable came."""
        before, method = self._before, self._setup.aggregator
        if not self._usable:
            return before.state, before.client_state
        if self._sums:
            shown: CohortSums | Cohort = self._sums.cohort()
        else:
            cohort = self._cohort(self._usable)
            shown = cohort if method.needs == "updates" else CohortSums.of(cohort)
        # a method that needs sums is written for a CohortSum, which every Cohort is, but not the reverse
        new = own(method.aggregate(before.state, cast(Cohort, shown)))
        kept = named(self._usable, CLIENT_STATE)
        return new, updated(before.client_state, clients_of(self._usable), kept)

    def _add(self, usable: Updates) -> None:
        if self._sums and usable:
            self._sums.add(self._cohort(usable))
            usable = {
                name: v for name, v in usable.items() if name == "client" or name.startswith(CLIENT_STATE)
            }
        self._usable = joined(self._usable, usable)

    def _cohort(self, usable: Updates) -> Cohort:
        setup = self._setup
        return cohort_of(usable, self._number, setup.division.travelling, self._stream, setup.ranks)


def sent_to(setup: FederationSetup, state: RunState, client: int) -> Tensor:
    """The parameters [S] that ``client`` is sent."""
    params = setup.aggregator.params_for(state.state, client)
    return setup.held([client], params[None], setup.division.travelling)[0]


def sums_in_parts(setup: FederationSetup, clients: int) -> bool:
    """Whether the updates of so many clients are added up as they come and forgotten."""
    size = clients * setup.division.travelling.size
    return setup.aggregator.needs == "sum" and size > KEPT_WHOLE and not setup.ranks
