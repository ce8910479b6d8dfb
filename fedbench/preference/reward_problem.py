"""What the clients' reward models and a router are trained and measured on, under one seed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from PIL.Image import Image

from fedbench.api.aggregator import Shards
from fedbench.api.scenario import Budget, Rewards, Training
from fedbench.federation.executors import AskedExecutor, Executor, make_executor
from fedbench.federation.faults import FaultModel
from fedbench.federation.local import LocalWork
from fedbench.preference.audit import Comparisons
from fedbench.preference.responses import TokenizedResponses
from fedbench.preference.reward_models import RewardScorer, RewardTask


@dataclass(frozen=True)
class RewardProblem:
    """The clients' preferences, the server's public comparisons, and the rules of the federation.

    ``tasks[k]``: what fits client k's reward model, with the seed's noise in its signs; clients whose models
    are alike share one. ``shards[k]``: client k's preferences. ``chosen`` and ``rejected``: the answers of
    all preferences as the policy's backbone reads them. ``comparisons``: the server's public preferences;
    ``gold``: the true reward. ``images``: what all of them are about. ``training``, ``rewards``, ``budget``:
    the scenario's. ``fault_model``: the faults that strike clients.
    """

    seed: int
    tasks: Sequence[RewardTask]
    shards: Shards
    chosen: TokenizedResponses
    rejected: TokenizedResponses
    comparisons: Comparisons
    gold: RewardScorer
    images: Sequence[Image]
    training: Training
    rewards: Rewards
    budget: Budget
    fault_model: FaultModel

    def executor(self, asked: AskedExecutor) -> Executor:
        """Make the executor ``asked`` for, for fitting the reward models that are like client 0's."""
        alike = [k for k, task in enumerate(self.tasks) if task is self.tasks[0]]
        work = [LocalWork(client=k, examples=self.shards[k], first_step=0, schedule_steps=1) for k in alike]
        return make_executor(asked, self.tasks[0], work, self.training)
