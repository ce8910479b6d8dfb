"""What an alignment method is: an :class:`Aggregator`.

The engine samples cohorts, trains, moves payloads, bills them, keeps what stays with a client, and
evaluates. A method says what travels (:class:`fedbench.Traffic`), what is added locally
(:class:`fedbench.LocalRule`), how a cohort is merged (:class:`fedbench.Cohort`), and what is broadcast.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, Literal

from fedbench.api.cohort import Cohort
from fedbench.api.local_rule import Clients, LocalRule
from fedbench.api.parametrisation import Parametrisation
from fedbench.api.phase import Phase
from fedbench.api.traffic import Traffic

if TYPE_CHECKING:
    import numpy as np
    from torch import Generator, Tensor

    from fedbench.params import ParamSpace

State = Mapping[str, "Tensor"]
"""All that a method knows on the server, as named tensors, so that the engine can checkpoint and restore it.

``"params"`` [S], the parameters that travel, is what :meth:`Aggregator.params_for` broadcasts and evaluates
by default; every other name is the method's own. A state is never changed in place: a method returns a new
one.

>>> import torch
>>> from fedbench import State
>>> state: State = {"params": torch.zeros(7), "velocity": torch.zeros(7)}
>>> after = {**state, "velocity": state["velocity"] + 1}
"""

Shards = Sequence["np.ndarray"]
"""For each client, the indices [n] of its training examples.

>>> import numpy as np
>>> from fedbench import Shards
>>> shards: Shards = [np.array([0, 1, 2]), np.array([3, 4])]
>>> [len(shard) for shard in shards]
[3, 2]
"""


@dataclass(frozen=True, slots=True)
class Context:
    """What a method may know before the first round.

    >>> from fedbench import Context, ParamSpace
    >>> context = Context(space=ParamSpace({"weight": (2, 3), "bias": (2,)}), clients=5, rounds=10)
    >>> context.space.size
    8
    """

    space: ParamSpace
    """Names and shapes of the parameters that travel, S numbers."""
    clients: int
    """N, all clients of the population, not only one round's."""
    rounds: int
    """Rounds of a whole run."""


Needs = Literal["sum", "updates"]


class Aggregator:
    """Base class of alignment methods; only :meth:`aggregate` has no default.

    Before round 1 the engine calls, once each, :meth:`population`, :meth:`traffic`, :meth:`phases`,
    :meth:`initial_state` and :meth:`initial_client_state`. In every round it calls :meth:`params_for` for
    each client of the cohort, :meth:`local_rule` for each group of clients that is trained together,
    :meth:`aggregate` with the updates that arrived (not if none did) and :meth:`diagnostics`; then it
    evaluates what :meth:`params_for` returns, for every client with the parameters that stay there if some
    do. A resumed run goes on from the saved state in a new object: keep nothing that changes on ``self``.

    A server that goes half the way to the clients' mean, on a toy task that takes milliseconds:

    >>> from fedbench import Aggregator
    >>> from fedbench.testing import toy_rounds
    >>> class HalfWay(Aggregator):
    ...     needs = "sum"
    ...     def aggregate(self, state, cohort):
    ...         return {"params": (state["params"] + cohort.mean("params")) / 2}
    >>> rounds = toy_rounds(HalfWay(), clients=3, rounds=5)
    >>> rounds[-1].loss < rounds[0].loss
    True

    The same, with the projector's last layer kept by each client:

    >>> from fedbench import Traffic
    >>> class Personal(HalfWay):
    ...     def traffic(self, space):
    ...         return Traffic(params=[name for name in space.shapes if not name.startswith("down.")])
    >>> less = toy_rounds(Personal(), clients=3, rounds=5)
    >>> less[-1].costs.uplink_bytes < rounds[-1].costs.uplink_bytes
    True
    """

    needs: ClassVar[Needs] = "updates"
    """``"sum"`` if sums over the cohort are enough for :meth:`aggregate`: it is then given nothing else (a
    :class:`fedbench.CohortSum`) and would work under secure aggregation. ``"updates"`` if it needs each
    client's own."""
    personalised: ClassVar[bool] = False
    """Whether :meth:`params_for` differs between clients. Where parameters stay with their client the engine
    knows by itself that each has a model of its own."""
    mixed_ranks: ClassVar[bool] = False
    """Whether it can merge LoRA adapters of clients whose ranks differ; else such a scenario is refused. A
    client of a smaller rank has zeros in the place of what it lacks, and :attr:`Cohort.ranks` says so."""
    own_model: ClassVar[str] = ""
    """Name of the vector of :meth:`initial_client_state` that is scored as the client's own model; empty:
    what it is sent, with the parameters that stay there."""

    def population(self, shards: Shards) -> Shards:
        """The clients that this method federates over. Default: the scenario's own.

        An anchor may pool them: ``(np.concatenate(list(shards)),)`` is one client with all examples.
        """
        return shards

    def traffic(self, space: ParamSpace) -> Traffic:
        """What travels in a round, of the trained parameters ``space``. Default: these, nothing beside them.

        The engine bills it by bytes, hides the rest from :meth:`aggregate`, and keeps the parameters that do
        not travel with each client: S of the P numbers travel, all if nothing else is said.
        """
        return Traffic()

    def parametrisation(
        self, params: Tensor, space: ParamSpace, stream: Callable[..., Generator]
    ) -> Parametrisation | None:
        """What clients train and send in the place of the model's parameters ``params`` [P] of ``space``.
        Default: these themselves.

        Where there is one, its ``space`` is the trained parameters' everywhere else. ``stream(*names)`` is a
        random generator of the run's seed.
        """
        return None

    def initial_state(self, params: Tensor, context: Context) -> State:
        """The state before round 1, from the initial parameters that travel [S]. Default: just these.

        Everything that :meth:`aggregate` reads has to be here, for instance
        ``{"params": params, "velocity": torch.zeros_like(params)}``.
        """
        return {"params": params}

    def initial_client_state(self, params: Tensor) -> Mapping[str, Tensor]:
        """Named vectors [P] that every client keeps before it first takes part. Default: none.

        The engine stores a copy for each client, hands it to :meth:`local_rule` as
        ``clients.client_state[name]`` [C, P], and replaces it by what ``LocalRule.client_state[name]``
        returns.
        """
        return {}

    def local_rule(self, clients: Clients) -> LocalRule:
        """What these clients add to their local training this round. Default: nothing.

        Called once for each group of clients that is trained together, so the rule must not depend on which
        others are in the group. Whatever it needs of the server's state travels by :attr:`Traffic.down`.
        """
        return LocalRule()

    def phases(self, space: ParamSpace) -> Sequence[Phase]:
        """The parts of a client's local training, one after another. Default: all of it by
        :meth:`local_rule`.

        The examples of every part count: two that each take the whole round cost twice as much. A client's
        vectors are for all of them those that it began the round with.
        """
        return (Phase(rule=self.local_rule),)

    def aggregate(self, state: State, cohort: Cohort) -> State:
        """The state after merging the updates of a round; the same tensors in every order of clients.

        With ``needs = "sum"`` the cohort is a :class:`fedbench.CohortSum`.
        """
        raise NotImplementedError

    def base_update(self, state: State) -> Mapping[str, tuple[Tensor, Tensor]]:
        """What the last aggregation adds to frozen weights that adapters belong to. Default: nothing.

        By the linear's path (:func:`fedbench.adapter_pairs`) the factors B [O, R] and A [R, I]: s · B A is
        added to its weight, s the adapters' own scale. The engine adds them up and sends each client what it
        has not got yet, factored or as whole weights, whichever is less.
        """
        return {}

    def params_for(self, state: State, client: int | None = None) -> Tensor:
        """What is broadcast to ``client``, [S], or for None the global model, which is evaluated."""
        return state["params"]

    def diagnostics(self, state: State) -> Mapping[str, Any]:
        """Numbers, or lists of numbers, about the last aggregation, for the round log. Default: none."""
        return {}
