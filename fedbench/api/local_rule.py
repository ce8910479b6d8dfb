"""What clients do in a round beside training on their examples, and what a method may look at there.

Everything has a leading client axis C, also when C is 1: parameters are ``[C, P]``, an example's loss
``[C, B]``. A client's work knows only what its client knows: what it was sent and what it keeps.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torch import Tensor


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
    """[C, B]: 1 for an example, 0 for padding and for an example without an image."""
    at: Callable[[Tensor], Signals] | None = None
    """``at(params [C, P])``: the signals of the same batch under other parameters."""


@dataclass(frozen=True, slots=True)
class Clients:
    """The clients that a local rule is for, and all that these know.

    >>> import torch
    >>> from fedbench import Clients
    >>> clients = Clients(ids=(2, 5), start=torch.zeros(2, 7), client_state={"control": torch.ones(2, 7)})
    >>> clients.client_state["control"][clients.ids.index(5)].shape
    torch.Size([7])
    """

    ids: tuple[int, ...]
    """Their numbers in the population, from 0; row c of every tensor is client ``ids[c]``'s."""
    start: Tensor
    """[C, P]: the parameters that each begins the round with, as broadcast; those that do not travel, as the
    client has kept them."""
    received: Mapping[str, Tensor] = field(default_factory=dict)
    """The server's tensors that :attr:`Traffic.down` sends beside the parameters, by name."""
    client_state: Mapping[str, Tensor] = field(default_factory=dict)
    """Named vectors [C, P] that each client has kept since it last took part, or started with."""
    round: int | None = None
    """The round's number, from 1; None after the last."""


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
    where it ended and send how far it went:

    >>> from fedbench import LocalRule
    >>> rule = LocalRule(
    ...     gradient=lambda grads, params, anchor: grads + 0.1 * (params - anchor),
    ...     client_state={"last": lambda local: local.params},
    ...     sends={"distance": lambda local: (local.params - local.start).norm(dim=1)},
    ... )
    >>> import torch
    >>> rule.gradient(torch.zeros(2, 3), torch.ones(2, 3), torch.zeros(2, 3))[0]
    tensor([0.1000, 0.1000, 0.1000])
    """

    gradient: Callable[[Tensor, Tensor, Tensor], Tensor] | None = None
    """``gradient(grads, params, anchor) -> grads``, all [C, P]: called in every step on the loss's gradient,
    before clipping and the optimiser; ``anchor`` is :attr:`Clients.start`."""
    loss: Callable[[Signals], Tensor] | None = None
    """``loss(signals) -> [C]``: called in every step, added to the clients' losses."""
    trains: Collection[str] | None = None
    """Names of the tensors that training moves; None: all. The others are frozen."""
    client_state: Mapping[str, Callable[[LocalRound], Tensor]] = field(default_factory=dict)
    """``client_state[name](local_round) -> [C, P]``: called after training; what a client keeps under a name
    of :meth:`Aggregator.initial_client_state` until it next takes part. It never leaves the client, and is
    not kept if the client's update is lost."""
    sends: Mapping[str, Callable[[LocalRound], Tensor]] = field(default_factory=dict)
    """``sends[name](local_round) -> [C, *shape]``: called after training; what a client sends with its
    update under a name and shape of :attr:`Traffic.up`, as ``cohort.sent[name]``."""
    reports: Mapping[str, Callable[[Signals], Tensor]] = field(default_factory=dict)
    """``reports[name](signals) -> [C, B]``: a number for each example of the round, measured after training;
    a client sends their mean over the examples of :attr:`Signals.mask`, 0 if there are none, under a name of
    :attr:`Traffic.up` whose shape is ``()``."""
