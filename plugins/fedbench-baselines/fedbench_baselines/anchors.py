"""Anchors: the floor and the ceilings that methods are compared with. Nothing travels in any of them."""

from __future__ import annotations

import numpy as np

from fedbench import Aggregator, CohortSum, Options, ParamSpace, Shards, State, Traffic
from fedbench_baselines.fedavg import FedAvg


class Start(Aggregator):
    """The projector, or policy, as it starts: no client trains."""

    needs = "sum"

    def __init__(self, options: Options) -> None:
        self.options = options

    def population(self, shards: Shards) -> Shards:
        return ()

    def aggregate(self, state: State, cohort: CohortSum) -> State:
        return state


class Local(FedAvg):
    """Every client trains a projector of its own, all of which stays there."""

    def traffic(self, space: ParamSpace) -> Traffic:
        return Traffic(params=())


class Centralized(Local):
    """One client that holds all clients' examples, trained on as many of them in batches of the same size."""

    def population(self, shards: Shards) -> Shards:
        return (np.sort(np.concatenate(list(shards))),)
