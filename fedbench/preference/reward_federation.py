"""The federation as a reward fuser sees it: fitted reward models, their accuracy, training of a router."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from math import ceil

import numpy as np
import torch
from torch import Tensor, nn

from fedbench.api.aggregator import Aggregator, State
from fedbench.api.cohort import Cohort
from fedbench.api.metrics import Costs
from fedbench.api.reward_fuser import RouterLoss
from fedbench.api.scenario import Federation, Training
from fedbench.errors import UsageError
from fedbench.federation.executors import Executor
from fedbench.federation.loop import federate
from fedbench.federation.schedule import passes
from fedbench.federation.setup import FederationSetup
from fedbench.federation.task import Task
from fedbench.federation.weighted_mean import WeightedMean
from fedbench.models.functional import Functional
from fedbench.params import ParamSpace
from fedbench.preference.fitting import FittedRewardModels
from fedbench.preference.responses import TokenizedResponses
from fedbench.preference.reward_channel import RewardChannel
from fedbench.preference.reward_models import ClientRewardModel, RewardScorer, calibrated
from fedbench.preference.reward_problem import RewardProblem
from fedbench.rng import derive, torch_stream


@dataclass(frozen=True)
class RouterTask(Task):
    """Tell whose response this is, by the fuser's loss ``fit`` (MoR, arXiv 2605.03426, eq. 4).

    ``sides``: preferred responses and others, [N] each; ``owner`` [N]: the clients that hold them.
    """

    network: Functional
    fit: RouterLoss
    sides: Sequence[TokenizedResponses]
    owner: Tensor

    @property
    def space(self) -> ParamSpace:
        """The router's parameters."""
        return self.network.space

    @property
    def device(self) -> torch.device:
        """Where the responses are."""
        return self.owner.device

    def loss(self, params: Tensor, index: Tensor) -> Tensor:
        """The mean of both sides' losses [C]; ``index`` [C, B] has no gaps, since the engine draws whole
        batches."""
        total = torch.zeros(len(index), device=self.device)
        for side in self.sides:
            responses = side.responses(index)
            scores = self.network(params, responses.visual, responses.text, responses.mask)
            total = total + self.fit(scores, self.owner[index[:, 0]])
        return total / len(self.sides)


class SizeWeightedMean(Aggregator):
    """The mean with weights n_k, the clients' ``sizes``, however little each did in a round (MoR, §3.2)."""

    def __init__(self, sizes: Sequence[int]) -> None:
        self.sizes = torch.tensor(sizes)

    def aggregate(self, state: State, cohort: Cohort) -> State:
        """The mean of the cohort's parameters, weighted by the clients' sizes."""
        sizes = self.sizes[list(cohort.clients)].to(cohort.num_examples)
        return {"params": replace(cohort, num_examples=sizes).mean("params")}


class SimulatedRewardFederation:
    """A :class:`fedbench.api.reward_fuser.RewardFederation` whose clients are all in this process.

    ``costs`` grows by what a fuser has it do: training takes it from the problem's budget.
    """

    def __init__(self, problem: RewardProblem, fitted: FittedRewardModels, executor: Executor) -> None:
        self.problem, self.fitted, self.executor = problem, fitted, executor
        self.costs = Costs()

    @property
    def widths(self) -> tuple[int, int]:
        """F and D: the widths of a response's visual features and of its text embeddings."""
        chosen = self.problem.chosen
        return chosen.features.shape[-1], chosen.llm.backbone.width

    @property
    def client_models(self) -> Sequence[ClientRewardModel]:
        """Each client's reward model, normalised."""
        return self.fitted.models

    @property
    def uncalibrated_models(self) -> Sequence[ClientRewardModel]:
        """Each client's reward model without normalisation."""
        return [model.uncalibrated for model in self.fitted.models]

    @property
    def gold(self) -> RewardScorer:
        """The true reward."""
        return self.problem.gold

    def averaged_model(self) -> ClientRewardModel:
        """Train one reward model by FedAvg, on as many examples and with the same schedule of learning rates
        as the clients' own; calibrated with the mean of the clients' μ and σ."""
        tasks, rewards, seed = self.problem.tasks, self.problem.rewards, self.problem.seed
        if count := len({id(task) for task in tasks}) - 1:
            raise UsageError(
                "the clients' reward models can't be averaged",
                why=f"they are of {count + 1} architectures",
                fix="use a method that fuses rewards",
            )
        task = tasks[0]
        params = self._train(
            WeightedMean(),
            task,
            task.model.init(torch_stream(seed, "reward model", 0)).to(task.device),
            [
                passes(shard, rewards.epochs, seed, "averaged", k)
                for k, shard in enumerate(self.problem.shards)
            ],
            rounds=rewards.rounds,
            training=self.problem.training.model_copy(update={"one_schedule": True}),
            name="averaged",
        )
        own = [torch.from_numpy(shard).to(task.device) for shard in self.problem.shards]
        each = [calibrated(None, task, params, index) for index in own]
        return replace(
            each[0],
            mean=float(np.mean([model.mean for model in each])),
            deviation=float(np.mean([model.deviation for model in each])),
        )

    def validation_accuracy(self) -> Tensor:
        """Query every client about the server's comparisons: the share [K] that each gets right."""
        comparisons = self.problem.comparisons
        channel = RewardChannel(self.client_models, self.problem.images, self.problem.fault_model)
        everyone = torch.ones(len(comparisons.better), len(self.client_models))
        better, worse = (
            channel.query(0, side.everything, everyone) for side in (comparisons.better, comparisons.worse)
        )
        self.costs += channel.costs
        right = (better > worse).float().masked_fill(~(better - worse).isfinite(), torch.nan)
        return right.nanmean(0).nan_to_num(0.0)

    def train_router(
        self, network: nn.Module, loss: RouterLoss, *, rounds: int, steps: int, batch_size: int, lr: float
    ) -> Tensor:
        """Train ``network`` by FedAvg on the clients' own responses; its parameters [P]."""
        chosen, rejected, shards = self.problem.chosen, self.problem.rejected, self.problem.shards
        function = Functional(network)
        owner = torch.zeros(len(chosen), dtype=torch.long, device=chosen.ids.device)
        for client, shard in enumerate(shards):
            owner[torch.from_numpy(shard)] = client
        task = RouterTask(network=function, fit=loss, sides=(chosen, rejected), owner=owner)
        needed, seed = rounds * steps * batch_size, self.problem.seed
        examples = [
            passes(shard, max(1, ceil(needed / len(shard))), seed, "router", k)[:needed]
            for k, shard in enumerate(shards)
        ]
        params = self._train(
            SizeWeightedMean([len(shard) for shard in shards]),
            task,
            function.init(torch_stream(seed, "router")).to(task.device),
            examples,
            rounds=rounds,
            training=Training(batch_size=batch_size, lr=lr, schedule="constant"),
            name="router",
        )
        return params.cpu()

    def _train(
        self,
        mean: Aggregator,
        task: Task,
        start: Tensor,
        shards: Sequence[np.ndarray],
        *,
        rounds: int,
        training: Training,
        name: str,
    ) -> Tensor:
        """The parameters [P] after ``rounds`` rounds of the one round loop; :class:`UsageError` if the budget
        ends before them, since what is half trained is another method."""
        if not rounds:
            return start
        setup = FederationSetup(
            task=task,
            aggregator=mean,
            shards=shards,
            federation=Federation(clients=len(shards), rounds=rounds),
            training=training,
            seed=derive(self.problem.seed, name),
            budget=self.problem.budget,
        )
        state = replace(setup.initial(start), spent=self.costs)
        for done in federate(setup, self.executor, state):
            state = done.after
            self.costs = state.spent
        if state.round < rounds:
            raise UsageError(
                f"the budget ends the training of what is {name!r} here after {state.round} of {rounds}"
                " rounds",
                fix="give it more, or name a method that trains nothing before the policy",
            )
        return mean.params_for(state.state)
