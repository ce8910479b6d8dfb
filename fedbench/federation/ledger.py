"""What a round costs, and whether the budget allows it. Counted here, never by a method."""

from __future__ import annotations

from collections.abc import Sequence

from fedbench.api.metrics import BYTES_PER_NUMBER, Costs
from fedbench.api.scenario import Budget
from fedbench.federation.plan import PhaseWork
from fedbench.federation.setup import FederationSetup


def round_costs(setup: FederationSetup, clients: int, phases: Sequence[PhaseWork]) -> Costs:
    """Bytes and examples of a round in which so many clients work in ``phases``: everything that the method
    declares travels to and from each."""
    space, traffic = setup.task.space, setup.traffic
    up, down = sum(traffic.numbers_up(space).values()), sum(traffic.numbers_down(space).values())
    return Costs(
        uplink_bytes=BYTES_PER_NUMBER * clients * up,
        downlink_bytes=BYTES_PER_NUMBER * clients * down,
        client_examples=examples_of(phases),
    )


def examples_of(phases: Sequence[PhaseWork]) -> int:
    """The examples that clients train on in ``phases``, counted each time."""
    return sum(len(item.examples) for phase in phases for item in phase.work)


def exceeded(budget: Budget, spent: Costs) -> bool:
    """Whether ``spent`` is beyond a limit."""
    limits = ((budget.examples, spent.client_examples), (budget.uplink_bytes, spent.uplink_bytes))
    return any(limit is not None and used > limit for limit, used in limits)
