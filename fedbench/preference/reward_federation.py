"""The federation as a reward fuser sees it: fitted sources, how right they are, training over own answers."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from math import ceil

import numpy as np
import torch
from PIL.Image import Image
from torch import Tensor, nn

from fedbench.api.aggregator import Cohort, State
from fedbench.api.metrics import Costs
from fedbench.api.reward_fuser import RewardSource, RouterLoss
from fedbench.api.scenario import Budget, Federation, Rewards, Training
from fedbench.errors import UsageError
from fedbench.federation.executors import Executor, no_rule
from fedbench.federation.faults import FaultModel
from fedbench.federation.local import LocalWork, steps_of
from fedbench.federation.loop import federate
from fedbench.federation.setup import FederationSetup
from fedbench.federation.task import Task
from fedbench.federation.weighted_mean import WeightedMean
from fedbench.models.functional import Functional
from fedbench.params import ParamSpace
from fedbench.preference.reward_channel import RewardChannel
from fedbench.preference.reward_models import ClientRewardModel, RewardTask, TokenizedResponses, calibrated
from fedbench.rng import derive, numpy_stream, torch_stream


@dataclass(frozen=True)
class RouterTask(Task):
    """Tell whose answer this is: ``answers``, preferred ones and others; ``owner`` [N], the clients."""

    network: Functional
    fit: RouterLoss
    answers: Sequence[TokenizedResponses]
    owner: Tensor

    @property
    def space(self) -> ParamSpace:
        return self.network.space

    @property
    def device(self) -> torch.device:
        return self.owner.device

    def loss(self, params: Tensor, index: Tensor) -> Tensor:
        """Of as many preferred answers as others, [C]; batches are whole, since the engine makes them so."""
        found = torch.zeros(len(index), device=self.device)
        for side in self.answers:
            responses = side.responses(index)
            scores = self.network(params, responses.visual, responses.text, responses.mask)
            found = found + self.fit(scores, self.owner[index[:, 0]])
        return found / len(self.answers)


def fit_reward_models(
    tasks: Sequence[RewardTask],
    shards: Sequence[np.ndarray],
    training: Training,
    passes: int,
    executor: Executor,
    seed: int,
) -> list[ClientRewardModel]:
    """Each client's reward model, fitted on its own comparisons alone and calibrated on them.

    ``tasks[k]`` is client k's; clients that share one are trained together.
    """
    sources: dict[int, ClientRewardModel] = {}
    alike: dict[int, list[int]] = defaultdict(list)
    for client, task in enumerate(tasks):
        alike[id(task)].append(client)
    for clients in alike.values():
        task = tasks[clients[0]]
        work = []
        for client in clients:
            examples = epochs(shards[client], passes, seed, "rewards", client)
            work.append(LocalWork(client, examples, 0, steps_of(len(examples), training)))
        start = torch.stack([task.model.init(torch_stream(seed, "reward model", k)) for k in clients])
        start = start.to(task.device)
        trained = executor.train(task, start, work, no_rule, training)
        for row, client in enumerate(clients):
            own = torch.from_numpy(shards[client]).to(task.device)
            sources[client] = calibrated(client, task, trained.params[row], own)
    return [sources[client] for client in range(len(tasks))]


class SizeWeightedMean(WeightedMean):
    """The mean with weights n_k, the clients' ``sizes``, however little each did in a round (MoR, §3.2)."""

    def __init__(self, sizes: Sequence[int]) -> None:
        self.sizes = torch.tensor(sizes)

    def aggregate(self, state: State, cohort: Cohort) -> State:
        """The mean of the cohort's parameters, weighted by the clients' sizes."""
        sizes = self.sizes[list(cohort.clients)].to(cohort.num_examples)
        return super().aggregate(state, replace(cohort, num_examples=sizes))


@dataclass
class SimulatedRewardFederation:
    """A :class:`fedbench.api.reward_fuser.RewardFederation`. ``chosen`` and ``rejected`` are everybody's
    answers as the policy's
    backbone reads them, ``comparisons`` the server's; ``images`` what all of them are about, ``fault_model``
    what befalls whoever is asked; ``costs`` is what fitting, training and asking took of the ``budget``."""

    sources: Sequence[ClientRewardModel]
    tasks: Sequence[RewardTask]
    shards: Sequence[np.ndarray]
    chosen: TokenizedResponses
    rejected: TokenizedResponses
    comparisons: tuple[TokenizedResponses, TokenizedResponses]
    gold: RewardSource
    executor: Executor
    training: Training
    rewards: Rewards
    seed: int
    images: Sequence[Image]
    fault_model: FaultModel
    budget: Budget
    costs: Costs = field(default_factory=Costs)

    @property
    def widths(self) -> tuple[int, int]:
        return self.chosen.features.shape[-1], self.chosen.llm.backbone.width

    @property
    def client_models(self) -> Sequence[RewardSource]:
        return self.sources

    @property
    def uncalibrated_models(self) -> Sequence[RewardSource]:
        return [source.uncalibrated for source in self.sources]

    def averaged_model(self) -> RewardSource:
        """FedAvg over so many rounds from one start, on as many examples and with the same schedule of
        learning rates as the clients' own models; calibrated with the mean of the clients' μ and σ."""
        if count := len({id(task) for task in self.tasks}) - 1:
            raise UsageError(
                "the clients' reward models can't be averaged",
                why=f"they are of {count + 1} architectures",
                fix="use a method that fuses rewards",
            )
        task = self.tasks[0]
        start = task.model.init(torch_stream(self.seed, "reward model", 0)).to(task.device)
        shards = [
            epochs(shard, self.rewards.epochs, self.seed, "averaged", k)
            for k, shard in enumerate(self.shards)
        ]
        training = self.training.model_copy(update={"one_schedule": True})
        params = self._train(
            WeightedMean(),
            task,
            start,
            shards,
            rounds=self.rewards.rounds,
            training=training,
            name="averaged",
        )
        own = [torch.from_numpy(shard).to(task.device) for shard in self.shards]
        each = [calibrated(None, task, params, index) for index in own]
        mean = float(np.mean([source.mean for source in each]))
        deviation = float(np.mean([source.deviation for source in each]))
        return ClientRewardModel(None, task.model, params, mean, deviation, task.view)

    def validation_accuracy(self) -> Tensor:
        channel = RewardChannel(self.sources, self.images, self.fault_model)
        everyone = torch.ones(len(self.comparisons[0].images), len(self.sources))
        better, worse = (channel.query(0, side.everything, everyone) for side in self.comparisons)
        self.costs += channel.costs
        right = (better > worse).float().masked_fill(~(better - worse).isfinite(), torch.nan)
        return right.nanmean(0).nan_to_num(0.0)

    def train_router(
        self, network: nn.Module, loss: RouterLoss, *, rounds: int, steps: int, batch_size: int, lr: float
    ) -> Tensor:
        function = Functional(network)
        owner = torch.zeros(len(self.chosen), dtype=torch.long, device=self.chosen.ids.device)
        for client, shard in enumerate(self.shards):
            owner[torch.from_numpy(shard)] = client
        task = RouterTask(function, loss, (self.chosen, self.rejected), owner)
        needed = rounds * steps * batch_size
        shards = [
            epochs(shard, max(1, ceil(needed / len(shard))), self.seed, "router", k)[:needed]
            for k, shard in enumerate(self.shards)
        ]
        training = Training(batch_size=batch_size, lr=lr, schedule="constant")
        start = function.init(torch_stream(self.seed, "router")).to(task.device)
        mean = SizeWeightedMean([len(shard) for shard in self.shards])
        params = self._train(mean, task, start, shards, rounds=rounds, training=training, name="router")
        return params.cpu()

    def _train(
        self,
        mean: WeightedMean,
        task: Task,
        start: Tensor,
        shards: Sequence[np.ndarray],
        *,
        rounds: int,
        training: Training,
        name: str,
    ) -> Tensor:
        """The parameters [P] after ``rounds`` rounds of the one round loop; :class:`UsageError` if the budget
        ends before them: what is half trained is another method."""
        if not rounds:
            return start
        setup = FederationSetup(
            task=task,
            aggregator=mean,
            shards=shards,
            federation=Federation(clients=len(shards), rounds=rounds),
            training=training,
            seed=derive(self.seed, name),
            budget=self.budget,
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


def epochs(shard: np.ndarray, times: int, seed: int, *names: str | int) -> np.ndarray:
    """``times`` passes over a shard, each in an order of its own."""
    orders = [numpy_stream(seed, "epoch", *names, epoch).permutation(shard) for epoch in range(times)]
    return np.concatenate(orders)
