"""What a round costs, and whether the budget allows it. Counted here, never by a method."""

from __future__ import annotations

from collections.abc import Sequence
from math import prod

from fedbench.api.adapters import rank_mask
from fedbench.api.metrics import BYTES_PER_NUMBER, Costs
from fedbench.api.scenario import Budget
from fedbench.federation.bill import Bill
from fedbench.federation.plan import PhaseWork
from fedbench.federation.run_state import RunState
from fedbench.federation.setup import FederationSetup


def round_costs(
    setup: FederationSetup, state: RunState, clients: Sequence[int], phases: Sequence[PhaseWork]
) -> Costs:
    """Bytes and examples of the round after ``state`` in which ``clients`` work in ``phases``: everything
    that the method declares travels to and from each, and what each has not got of the base's moves."""
    bill = bill_of(setup)
    return Costs(
        uplink_bytes=BYTES_PER_NUMBER * sum(bill.up_in(client, state.round + 1) for client in clients),
        downlink_bytes=BYTES_PER_NUMBER
        * sum(
            bill.down_in(client, state.round + 1, state.took_part.get(client, 0))
            + state.moved.owed(client, setup.task.bases)
            for client in clients
        ),
        client_examples=examples_of(phases),
    )


def bill_of(setup: FederationSetup) -> Bill:
    """What the method declares, by numbers."""
    space, traffic, travelling = setup.task.space, setup.traffic, setup.division.travelling
    going_down = travelling if traffic.params_down is None else space.only(traffic.params_down)
    return Bill(
        down=traffic.numbers_down(space),
        up=traffic.numbers_up(space),
        turns=[sum(prod(space.shapes[name]) for name in part) for part in traffic.turns],
        down_by_rank={rank: int(rank_mask(going_down, rank).sum()) for rank in set(setup.ranks)},
        up_by_rank={rank: int(rank_mask(travelling, rank).sum()) for rank in set(setup.ranks)},
        ranks=setup.ranks,
    )


def examples_of(phases: Sequence[PhaseWork]) -> int:
    """The examples that clients train on in ``phases``, counted each time."""
    return sum(len(item.examples) for phase in phases for item in phase.work)


def exceeded(budget: Budget, spent: Costs) -> bool:
    """Whether ``spent`` is beyond a limit."""
    limits = ((budget.examples, spent.client_examples), (budget.uplink_bytes, spent.uplink_bytes))
    return any(limit is not None and used > limit for limit, used in limits)
