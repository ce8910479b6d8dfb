"""What a round costs, and whether the budget allows it. Counted here, never by a method."""

from __future__ import annotations

from collections.abc import Sequence

from fedbench.api.aggregator import Aggregator
from fedbench.api.metrics import BYTES_PER_NUMBER, Costs
from fedbench.api.scenario import Budget
from fedbench.federation.local import LocalWork
from fedbench.params import ParamSpace


def round_costs(space: ParamSpace, aggregator: Aggregator, work: Sequence[LocalWork], reports: int) -> Costs:
    """Bytes and examples of a round in which ``work`` is done: parameters and the method's declared extra
    vectors both ways, and up a number for each of the ``reports``."""
    examples = sum(len(item.examples) for item in work)
    if not aggregator.communicates:
        return Costs(client_examples=examples)
    up = space.size * (1 + aggregator.extra_uplink) + reports
    down = space.size * (1 + aggregator.extra_downlink)
    return Costs(
        uplink_bytes=BYTES_PER_NUMBER * len(work) * up,
        downlink_bytes=BYTES_PER_NUMBER * len(work) * down,
        client_examples=examples,
    )


def exceeded(budget: Budget, spent: Costs) -> bool:
    """Whether ``spent`` is beyond a limit."""
    limits = ((budget.examples, spent.client_examples), (budget.uplink_bytes, spent.uplink_bytes))
    return any(limit is not None and used > limit for limit, used in limits)
