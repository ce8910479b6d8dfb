"""What an alignment method is: an :class:`Aggregator`.

Everything on the client side carries a leading client axis C, also when C is 1: parameters are
``[C, P]``, an example's loss is ``[C, B]``. A method is therefore written once and runs serially,
batched or distributed. The engine samples cohorts, trains, moves payloads, counts and evaluates;
the method only says what is added locally, how a cohort is merged, and what is broadcast.
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
"""Server state: named tensors, so that the engine can checkpoint it. ``"params"`` is customary."""

Shards = Sequence["np.ndarray"]
"""Per client, the indices of its training examples."""


@dataclass(frozen=True, slots=True)
class Context:
    """What a method may know before the first round."""

    space: ParamSpace
    clients: int
    rounds: int


@dataclass(frozen=True, slots=True)
class Signals:
    """What a client sees of a batch beyond its loss; differentiable in the parameters.

    ``visual`` [C, B, T, D]: projected visual tokens. ``text`` [C, B, D]: mean input embedding of the
    caption's tokens in the frozen LLM. ``mask`` [C, B]: 1 for real examples, 0 for padding.
    ``at(params [C, P])``: the same batch under other parameters.
    """

    visual: Tensor
    text: Tensor
    mask: Tensor
    at: Callable[[Tensor], Signals] | None = None


@dataclass(frozen=True, slots=True)
class Clients:
    """The clients a local rule is for. ``client_state[name]`` [C, P]: what each keeps from round to round."""

    ids: tuple[int, ...]
    client_state: Mapping[str, Tensor]


@dataclass(frozen=True, slots=True)
class LocalRound:
    """A finished round of local training, all [C, P]: parameters before and after, and the mean over its
    steps of the loss's gradient (before a rule's correction, clipping and the optimiser)."""

    start: Tensor
    params: Tensor
    mean_gradient: Tensor


@dataclass(frozen=True, slots=True)
class LocalRule:
    """What a method adds to local training; the default adds nothing.

    ``gradient(grads, params, anchor) -> grads``, all [C, P]; ``anchor`` is what was broadcast. Applied
    to the loss's gradient before clipping and the optimiser.
    ``loss(signals) -> [C]`` is added to the clients' losses.
    ``reports[name](signals) -> [C, B]``: per-example scalars measured *after* training on the round's
    data; the client uploads their mean with its update.
    ``client_state[name](local_round) -> [C, P]`` is what the client keeps until it next takes part.
    """

    gradient: Callable[[Tensor, Tensor, Tensor], Tensor] | None = None
    loss: Callable[[Signals], Tensor] | None = None
    reports: Mapping[str, Callable[[Signals], Tensor]] = field(default_factory=dict)
    client_state: Mapping[str, Callable[[LocalRound], Tensor]] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Cohort:
    """The updates that arrived in a round, in client-id order.

    ``params`` and ``start`` [C, P]: after and before local training; ``num_examples`` and ``steps``
    [C]: what each client really used; ``reports[name]`` [C]; ``client_state[name]`` and
    ``client_state_before[name]``
    [C, P]: what the clients keep, after and before this round. ``stream(*names)`` is a named generator of
    this round for methods that draw.
    """

    round: int
    clients: tuple[int, ...]
    params: Tensor
    start: Tensor
    num_examples: Tensor
    steps: Tensor
    reports: Mapping[str, Tensor]
    space: ParamSpace
    stream: Callable[..., torch.Generator]
    client_state: Mapping[str, Tensor] = field(default_factory=dict)
    client_state_before: Mapping[str, Tensor] = field(default_factory=dict)

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

    Set ``personalised`` when each client keeps parameters of its own: the engine then evaluates
    ``params_for(state, k)`` for every client and reports the mean. Clear ``communicates`` for an anchor
    that exchanges no parameters, so that no bytes are counted. ``extra_uplink`` and ``extra_downlink`` say
    how many vectors of P travel beside the parameters.
    """

    personalised: ClassVar[bool] = False
    communicates: ClassVar[bool] = True
    extra_uplink: ClassVar[int] = 0
    extra_downlink: ClassVar[int] = 0

    def population(self, shards: Shards) -> Shards:
        """The clients this method federates over. Default: the scenario's own."""
        return shards

    def initial_state(self, params: Tensor, context: Context) -> State:
        """The state before round 1, from the initial parameters [P]."""
        return {"params": params}

    def initial_client_state(self, params: Tensor) -> Mapping[str, Tensor]:
        """What every client keeps before it first takes part: named vectors [P]. The engine stores them."""
        return {}

    def local_rule(self, state: State, clients: Clients) -> LocalRule:
        """What these clients add to their local training this round."""
        return LocalRule()

    def aggregate(self, state: State, cohort: Cohort) -> State:
        """The state after merging a non-empty cohort."""
        raise NotImplementedError

    def params_for(self, state: State, client: int | None = None) -> Tensor:
        """What is broadcast to ``client`` (or, for None, evaluated as the global model): [P]."""
        return state["params"]

    def diagnostics(self, state: State) -> Mapping[str, Any]:
        """Numbers (or lists of them) about the last aggregation, for the round log."""
        return {}
