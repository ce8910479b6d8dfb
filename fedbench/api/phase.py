"""A part of a client's local training."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from fedbench.api.local_rule import LocalRule

if TYPE_CHECKING:
    from fedbench.api.local_rule import Clients

MOST_PASSES = 1000
"""Most times that a phase goes through a client's examples."""


def plain(clients: Clients) -> LocalRule:
    """The rule that adds nothing to training."""
    return LocalRule()


@dataclass(frozen=True, slots=True)
class Phase:
    """What a client trains in a part of its round, where from, and for how long; see
    :meth:`Aggregator.phases`.

    Half of the round for the last layer, half for the others, as FedRep has it:

    >>> from fedbench import LocalRule, Phase
    >>> head = Phase(share=0.5, rule=lambda clients: LocalRule(trains=["down.weight", "down.bias"]))
    >>> body = Phase(share=0.5, rule=lambda clients: LocalRule(trains=["up.weight", "up.bias"]))
    """

    rule: Callable[[Clients], LocalRule] = plain
    """``rule(clients)``: what is added to training, called as :meth:`Aggregator.local_rule` is."""
    share: float = 1.0
    """How much of the round's examples it trains on, to whole batches. It begins where the phase before it
    ended, after the last example again with the first; learning rates are scheduled over its own steps."""
    copy: str = ""
    """The vector of :meth:`Aggregator.initial_client_state` that it trains, in its place; empty: the client's
    model, which goes on from where the phase before it ended, and of which the declared part travels."""
    at_end: bool = False
    """Whether it is no part of any round, but follows the last: every client goes on with its model, on its
    whole shard, and keeps the result as its own. What is sent down for it is not billed: the last model goes
    to every client in any method."""

    def __post_init__(self) -> None:
        if not 0 <= self.share <= MOST_PASSES:
            raise ValueError(f"a phase's share is {self.share}, not 0 to {MOST_PASSES}")
