"""What stays the same from round to round of a federated training: task, method, clients and rules."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from functools import cached_property

import torch
from torch import Tensor

from fedbench.api.adapters import rank_masks
from fedbench.api.aggregator import Aggregator, Context, Shards
from fedbench.api.phase import Phase
from fedbench.api.scenario import Budget, Faults, Federation, Training
from fedbench.api.traffic import Traffic
from fedbench.errors import UsageError
from fedbench.federation.client_state import FINISHED, PARAMS, fresh
from fedbench.federation.division import Division
from fedbench.federation.faults import FaultModel
from fedbench.federation.run_state import RunState
from fedbench.federation.schedule import NO_FAULTS, Pace
from fedbench.federation.task import Task
from fedbench.params import ParamSpace, own

NO_LIMIT = Budget()


@dataclass(frozen=True)
class FederationSetup:
    """One aggregator on one task under one seed.

    ``shards[k]``: the training examples of client k of the method's population. ``budget``: limits that no
    round may exceed. ``faults`` strike what travels, so a method in which nothing does meets none.
    ``label_flip_offset``: how far behind an example its wrongly labelled copy lies. ``client_sizes[k]``: how
    many examples client k of the scenario holds; None if the method's population is the scenario's.
    ``ranks``: of every client's adapters, where they differ.
    """

    task: Task
    aggregator: Aggregator
    shards: Shards
    federation: Federation
    training: Training
    seed: int
    budget: Budget = NO_LIMIT
    faults: Faults = NO_FAULTS
    label_flip_offset: int = 0
    client_sizes: Sequence[int] | None = None
    ranks: tuple[int, ...] = ()

    def __post_init__(self) -> None:
        if self.ranks and self.division.travelling.size and not self.aggregator.mixed_ranks:
            raise UsageError(
                f"{type(self.aggregator).__name__} merges adapters of one rank only",
                why=f"the clients' ranks are {', '.join(map(str, sorted(set(self.ranks))))}",
                fix="use a method that takes mixed ranks, or give training.lora.rank one value",
            )
        if self.traffic.turns:
            _check_turns(self.traffic.turns, self.division.travelling)

    @property
    def clients(self) -> int:
        """N, the number of clients that the method federates over."""
        return len(self.shards)

    @cached_property
    def traffic(self) -> Traffic:
        """What the method declares to travel."""
        return self.aggregator.traffic(self.task.space)

    @cached_property
    def division(self) -> Division:
        """Which of the trained parameters travel, and which stay with their client."""
        return Division(self.task.space, self.traffic.params)

    @cached_property
    def pace(self) -> Pace:
        """How far each client of the method's population gets in a round."""
        sizes = [len(shard) for shard in self.shards] if self.client_sizes is None else self.client_sizes
        return Pace.of(self.federation, self.training.batch_size, sizes, self.clients)

    @cached_property
    def phases(self) -> Sequence[Phase]:
        """The parts of a client's round."""
        return [phase for phase in self.aggregator.phases(self.task.space) if not phase.at_end]

    @cached_property
    def end_phases(self) -> Sequence[Phase]:
        """What every client does after the last round."""
        return [phase for phase in self.aggregator.phases(self.task.space) if phase.at_end]

    def task_at(self, at: RunState) -> Task:
        """The task as it is for the rounds after ``at``: on the base as the method has moved it."""
        return self.task.on(at.moved.offset)

    def held(self, clients: Sequence[int], params: Tensor, space: ParamSpace) -> Tensor:
        """``params`` [C, P] of ``space`` with zeros where a client's adapters have not got the rank."""
        if not self.ranks:
            return params
        return params * rank_masks(space, [self.ranks[client] for client in clients]).to(params)

    @property
    def personalised(self) -> bool:
        """Whether every client has a model of its own."""
        method = self.aggregator
        return bool(method.personalised or method.own_model or self.division.staying.size or self.end_phases)

    @cached_property
    def fault_model(self) -> FaultModel:
        """The faults of this run, drawn from its seed."""
        travels = self.traffic.numbers_up(self.task.space) or self.traffic.numbers_down(self.task.space)
        return FaultModel(self.faults if travels else NO_FAULTS, self.seed, self.clients)

    def initial(self, params: Tensor) -> RunState:
        """The run before its first round, from the initial parameters [P]."""
        context = Context(self.division.travelling, self.clients, self.federation.rounds)
        own_vectors = self.aggregator.initial_client_state(params)
        copies = {phase.copy for phase in (*self.phases, *self.end_phases)} | {self.aggregator.own_model}
        if strange := sorted(copies - {"", *own_vectors}):
            raise ValueError(f"clients keep no vectors called {', '.join(strange)}: see initial_client_state")
        return RunState(
            round=0,
            state=own(self.aggregator.initial_state(self.division.sent(params), context)),
            client_state=fresh(own_vectors, params, self.division, self.clients),
        )

    def model_of(self, at: RunState, client: int) -> Tensor:
        """The parameters [P] that ``client`` has: its own model, or what it is sent and what stays there."""
        if own_model := FINISHED if FINISHED in at.client_state else self.aggregator.own_model:
            return at.client_state[own_model][client]
        sent = self.aggregator.params_for(at.state, client)
        if self.division.staying.size:
            sent = self.division.joined(sent, at.client_state[PARAMS][client])
        return self.held([client], sent[None], self.task.space)[0]

    def trained(self, at: RunState) -> Tensor:
        """The trained parameters of the global model [1, P], or of every client's own [N, P]."""
        if self.personalised:
            return torch.stack([self.model_of(at, client) for client in range(self.clients)])
        return self.aggregator.params_for(at.state)[None]

    def models(self, at: RunState) -> Tensor:
        """What is evaluated: the models that follow from :meth:`trained`; see :meth:`Task.models`."""
        return self.task_at(at).models(self.trained(at))


def _check_turns(turns: Sequence[Collection[str]], travelling: ParamSpace) -> None:
    """Refuse parts that share a tensor, or have one that does not travel."""
    named = [name for part in turns for name in part]
    if len(named) != len(set(named)) or not set(named) <= set(travelling.shapes):
        raise ValueError("its turns share a tensor, or have one that does not travel")
