"""Anchors: the floor and the ceilings that methods are compared with. They exchange no parameters, so they
cost no bytes."""

from __future__ import annotations

import numpy as np
from torch import Tensor

from fedbench import Aggregator, Cohort, Context, Options, Shards, State
from fedbench_baselines.fedavg import FedAvg


class Start(Aggregator):
    """The projector, or policy, as it starts: no client trains."""

    communicates = False

    def __init__(self, options: Options) -> None:
        self.options = options

    def population(self, shards: Shards) -> Shards:
        return ()

    def aggregate(self, state: State, cohort: Cohort) -> State:
        return state


class Centralized(FedAvg):
    """One client that holds all clients' examples, trained on as many of them in batches of the same size."""

    communicates = False

    def population(self, shards: Shards) -> Shards:
        return (np.sort(np.concatenate(list(shards))),)


class Local(Aggregator):
    """Each of N clients trains a projector of its own: state ``params`` is [N, P]."""

    personalised = True
    communicates = False

    def __init__(self, options: Options) -> None:
        self.options = options

    def initial_state(self, params: Tensor, context: Context) -> State:
        return {"params": params.repeat(context.clients, 1)}

    def aggregate(self, state: State, cohort: Cohort) -> State:
        params = state["params"].clone()
        params[list(cohort.clients)] = cohort.params
        return {"params": params}

    def params_for(self, state: State, client: int | None = None) -> Tensor:
        return state["params"].mean(0) if client is None else state["params"][client]
