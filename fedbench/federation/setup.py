"""What stays the same from round to round of a federated training: task, method, clients and rules."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import torch
from torch import Tensor

from fedbench.api.aggregator import Aggregator, Context, Shards, State
from fedbench.api.scenario import Budget, Faults, Federation, Training
from fedbench.federation.client_state import fresh
from fedbench.federation.faults import FaultModel
from fedbench.federation.run_state import RunState
from fedbench.federation.schedule import NO_FAULTS
from fedbench.federation.task import Task
from fedbench.params import own

NO_LIMIT = Budget()


@dataclass(frozen=True)
class FederationSetup:
    """One aggregator on one task under one seed.

    ``shards[k]``: the training examples of client k of the method's population. ``budget``: limits that no
    round may exceed. ``faults`` strike what travels, so a method that does not communicate meets none.
    ``label_flip_offset``: how far behind an example its wrongly labelled copy lies.
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

    @property
    def clients(self) -> int:
        """N, the number of clients that the method federates over."""
        return len(self.shards)

    @cached_property
    def fault_model(self) -> FaultModel:
        """The faults of this run, drawn from its seed."""
        spec = self.faults if self.aggregator.communicates else NO_FAULTS
        return FaultModel(spec, self.seed, self.clients)

    def initial(self, params: Tensor) -> RunState:
        """The run before its first round, from the initial parameters [P]."""
        context = Context(self.task.space, self.clients, self.federation.rounds)
        return RunState(
            round=0,
            state=own(self.aggregator.initial_state(params, context)),
            client_state=fresh(self.aggregator.initial_client_state(params), self.clients),
        )

    def models(self, state: State) -> Tensor:
        """What is evaluated: the global parameters [1, P], or every client's own [N, P]."""
        if self.aggregator.personalised:
            return torch.stack([self.aggregator.params_for(state, k) for k in range(self.clients)])
        return self.aggregator.params_for(state)[None]
