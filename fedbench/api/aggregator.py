"""What an alignment method is: an :class:`Aggregator`.

Everything on the client side carries a leading client axis C, also when C is 1: parameters are
``[C, P]``, an example's loss is ``[C, B]``. A method is therefore written once, and trains clients one by one
or many at a time. The engine samples cohorts, trains, moves payloads, counts and evaluates; the method says
what is added locally, how a cohort is merged, and what is broadcast.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, ClassVar

if TYPE_CHECKING:
    import numpy as np
    import torch
    from torch import Tensor

    from fedbench.params import ParamSpace

State = Mapping[str, "Tensor"]
"""All that a method knows on the server, as named tensors, so that the engine can checkpoint and restore it.

``"params"`` [P] is what :meth:`Aggregator.params_for` broadcasts and evaluates by default; every other name
is the method's own. A state is never changed in place: a method returns a new one.

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
    """Names and shapes of the parameters."""
    clients: int
    """N, all clients of the population, not only one round's."""
    rounds: int
    """Rounds of a whole run."""


@dataclass(frozen=True, slots=True)
class Signals:
    """What a client sees of a batch beside its loss; differentiable in the parameters.

    >>> import torch
    >>> from fedbench.testing import ToyTask
    >>> task = ToyTask()
    >>> batch = torch.tensor([[0, 1, 2], [3, 4, -1]])  # two clients; the second one's batch is padded
    >>> signals = task.signals(task.init().repeat(2, 1), batch)
    >>> signals.visual.shape, signals.text.shape, signals.mask.sum(1).tolist()
    (torch.Size([2, 3, 2, 4]), torch.Size([2, 3, 4]), [3.0, 2.0])
    """

    visual: Tensor
    """[C, B, T, D]: the images' projected tokens."""
    text: Tensor
    """[C, B, D]: mean embedding, in the frozen LLM, of the answer's tokens."""
    mask: Tensor
    """[C, B]: 1 for an example, 0 for padding."""
    at: Callable[[Tensor], Signals] | None = None
    """``at(params [C, P])``: the signals of the same batch under other parameters."""


@dataclass(frozen=True, slots=True)
class Clients:
    """The clients that a local rule is for.

    >>> import torch
    >>> from fedbench import Clients
    >>> clients = Clients(ids=(2, 5), client_state={"control": torch.zeros(2, 7)})
    >>> clients.client_state["control"][clients.ids.index(5)].shape
    torch.Size([7])
    """

    ids: tuple[int, ...]
    """Their numbers in the population, from 0; row c of every tensor is client ``ids[c]``'s."""
    client_state: Mapping[str, Tensor]
    """Named vectors [C, P] that each client has kept since it last took part, or started with."""


@dataclass(frozen=True, slots=True)
class LocalRound:
    """A finished round of local training of C clients.

    >>> import torch
    >>> from fedbench import LocalRound
    >>> local = LocalRound(start=torch.zeros(2, 3), params=torch.ones(2, 3), mean_gradient=torch.ones(2, 3))
    >>> (local.params - local.start).norm(dim=1).tolist()
    [1.7320507764816284, 1.7320507764816284]
    """

    start: Tensor
    """[C, P]: what each client was sent."""
    params: Tensor
    """[C, P]: what each client has after training."""
    mean_gradient: Tensor
    """[C, P]: the loss's gradient, averaged over the client's steps; before a rule's correction, clipping and
    the optimiser."""


@dataclass(frozen=True, slots=True)
class LocalRule:
    """What a method adds to local training; the default adds nothing.

    FedProx pulls each client towards what was broadcast, with strength μ = 0.1, and could let it remember
    where it ended:

    >>> from fedbench import LocalRule
    >>> rule = LocalRule(
    ...     gradient=lambda grads, params, anchor: grads + 0.1 * (params - anchor),
    ...     client_state={"last": lambda local: local.params},
    ... )
    >>> import torch
    >>> rule.gradient(torch.zeros(2, 3), torch.ones(2, 3), torch.zeros(2, 3))[0]
    tensor([0.1000, 0.1000, 0.1000])
    """

    gradient: Callable[[Tensor, Tensor, Tensor], Tensor] | None = None
    """``gradient(grads, params, anchor) -> grads``, all [C, P]: called in every step on the loss's gradient,
    before clipping and the optimiser; ``anchor`` is what was broadcast."""
    loss: Callable[[Signals], Tensor] | None = None
    """``loss(signals) -> [C]``: called in every step, added to the clients' losses."""
    reports: Mapping[str, Callable[[Signals], Tensor]] = field(default_factory=dict)
    """``reports[name](signals) -> [C, B]``: a number for each example of the round, measured after training;
    a client uploads their mean with its update, as ``Cohort.reports[name]``. Four bytes each."""
    client_state: Mapping[str, Callable[[LocalRound], Tensor]] = field(default_factory=dict)
    """``client_state[name](local_round) -> [C, P]``: called after training; what a client keeps under a name
    of :meth:`Aggregator.initial_client_state` until it next takes part. Not kept if its update is lost."""


@dataclass(frozen=True, slots=True)
class Cohort:
    """The updates that arrived in a round, in the order of client ids; never empty.

    >>> from fedbench.testing import example_cohort
    >>> cohort = example_cohort(clients=3)
    >>> cohort.num_examples.tolist(), [round(w, 3) for w in cohort.weights.tolist()]
    ([1, 2, 3], [0.167, 0.333, 0.5])
    >>> merged = cohort.weights @ cohort.params  # FedAvg
    >>> merged.shape == (cohort.space.size,)
    True
    """

    round: int
    """The round's number, from 1."""
    clients: tuple[int, ...]
    """Whose update each row is."""
    params: Tensor
    """[C, P]: parameters after local training."""
    start: Tensor
    """[C, P]: parameters before it, as broadcast."""
    num_examples: Tensor
    """[C]: the examples that each client trained on."""
    steps: Tensor
    """[C]: the optimiser steps that each client took."""
    reports: Mapping[str, Tensor]
    """``reports[name]`` [C]: what :attr:`LocalRule.reports` measured."""
    space: ParamSpace
    """Names and shapes of the parameters, to see [C, P] as matrices [C, out, in]."""
    stream: Callable[..., torch.Generator]
    """``stream(*names)``: a random generator of this round, the same in every run of the seed."""
    client_state: Mapping[str, Tensor] = field(default_factory=dict)
    """``client_state[name]`` [C, P]: what these clients keep after the round."""
    client_state_before: Mapping[str, Tensor] = field(default_factory=dict)
    """``client_state_before[name]`` [C, P]: what they kept before it."""

    def __post_init__(self) -> None:
        if not self.clients:
            raise ValueError("a cohort without clients has nothing to merge")

    @property
    def updates(self) -> Tensor:
        """Δ_k = θ_k − θ_start, [C, P]."""
        return self.params - self.start

    @property
    def weights(self) -> Tensor:
        """n_k / Σ n over the cohort, [C]."""
        share = self.num_examples.double()
        return (share / share.sum()).to(self.params.dtype)


class Aggregator:
    """Base class of alignment methods; only :meth:`aggregate` has no default.

    Before round 1 the engine calls, once each, :meth:`population`, :meth:`initial_state` and
    :meth:`initial_client_state`. In every round it calls :meth:`params_for` for each client of the cohort,
    :meth:`local_rule` for each group of clients that is trained together, :meth:`aggregate` with the updates
    that arrived (not if none did) and :meth:`diagnostics`; then it evaluates what :meth:`params_for` returns.
    A resumed run goes on from the saved state in a new object: keep nothing that changes on ``self``.

    A server that goes half the way to the clients' mean, on a toy task that takes milliseconds:

    >>> from fedbench import Aggregator
    >>> from fedbench.testing import toy_rounds
    >>> class HalfWay(Aggregator):
    ...     def aggregate(self, state, cohort):
    ...         mean = cohort.weights @ cohort.params
    ...         return {"params": (state["params"] + mean) / 2}
    >>> rounds = toy_rounds(HalfWay(), clients=3, rounds=5)
    >>> rounds[-1].loss < rounds[0].loss
    True
    """

    personalised: ClassVar[bool] = False
    """Whether each client keeps parameters of its own: then ``params_for(state, k)`` is evaluated for every
    client, and the mean reported."""
    communicates: ClassVar[bool] = True
    """Whether parameters travel; False for an anchor, whose bytes are not counted and whose network has no
    faults."""
    extra_uplink: ClassVar[int] = 0
    """Vectors [P] that each client sends beside its parameters, for the count of bytes."""
    extra_downlink: ClassVar[int] = 0
    """Vectors [P] that each client receives beside its parameters."""

    def population(self, shards: Shards) -> Shards:
        """The clients that this method federates over. Default: the scenario's own.

        An anchor may pool them: ``(np.concatenate(list(shards)),)`` is one client with all examples.
        """
        return shards

    def initial_state(self, params: Tensor, context: Context) -> State:
        """The state before round 1, from the initial parameters [P]. Default: just these.

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

    def local_rule(self, state: State, clients: Clients) -> LocalRule:
        """What these clients add to their local training this round. Default: nothing.

        Called once for each group of clients that is trained together, so the rule must not depend on which
        others are in the group. ``state`` is that of the round's beginning.
        """
        return LocalRule()

    def aggregate(self, state: State, cohort: Cohort) -> State:
        """The state after merging the updates of a round; the same tensors in every order of clients."""
        raise NotImplementedError

    def params_for(self, state: State, client: int | None = None) -> Tensor:
        """What is broadcast to ``client``, [P], or for None the global model, which is evaluated."""
        return state["params"]

    def diagnostics(self, state: State) -> Mapping[str, Any]:
        """Numbers, or lists of numbers, about the last aggregation, for the round log. Default: none."""
        return {}
