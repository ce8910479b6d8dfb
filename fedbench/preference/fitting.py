"""Fitting the clients' reward models: each on its own preferences, then measured."""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from fedbench.api.metrics import Costs, Measure
from fedbench.api.scenario import Training
from fedbench.federation.executors import Executor, no_rule
from fedbench.federation.local import LocalWork, steps_of
from fedbench.federation.schedule import passes
from fedbench.preference.audit import TrainingPreferences, reward_report
from fedbench.preference.reward_models import ClientRewardModel, RewardTask, calibrated
from fedbench.preference.reward_problem import RewardProblem
from fedbench.rng import torch_stream


@dataclass(frozen=True)
class FittedRewardModels:
    """Reward models of all clients and what is known of them.

    ``costs``: what fitting them took, when it was done. ``measures``: over all clients; ``per_client``: a
    line of figures for each.
    """

    models: Sequence[ClientRewardModel]
    costs: Costs
    measures: Mapping[str, Measure]
    per_client: Sequence[Mapping[str, Any]]


def fit(problem: RewardProblem, executor: Executor) -> FittedRewardModels:
    """Fit every client's reward model and measure them."""
    begin = time.perf_counter()
    epochs = problem.rewards.epochs
    models = fit_reward_models(
        problem.tasks, problem.shards, problem.training, epochs=epochs, executor=executor, seed=problem.seed
    )
    costs = Costs(
        client_examples=epochs * sum(map(len, problem.shards)), client_seconds=time.perf_counter() - begin
    )
    measures, per_client = reward_report(models, training_preferences(problem), problem.comparisons)
    return FittedRewardModels(models=models, costs=costs, measures=measures, per_client=per_client)


def training_preferences(problem: RewardProblem) -> list[TrainingPreferences]:
    """What each client's reward model is fitted on."""
    sign = problem.tasks[0].sign
    own = [torch.from_numpy(shard).to(sign.device) for shard in problem.shards]
    return [
        TrainingPreferences(
            chosen=problem.chosen.responses(index),
            rejected=problem.rejected.responses(index),
            sign=sign[index],
        )
        for index in own
    ]


def fit_reward_models(
    tasks: Sequence[RewardTask],
    shards: Sequence[np.ndarray],
    training: Training,
    *,
    epochs: int,
    executor: Executor,
    seed: int,
) -> list[ClientRewardModel]:
    """Fit client k's reward model by ``tasks[k]`` on ``shards[k]`` alone and calibrate it on them.

    Clients that share a task are trained together.
    """
    models: dict[int, ClientRewardModel] = {}
    alike: dict[int, list[int]] = defaultdict(list)
    for client, task in enumerate(tasks):
        alike[id(task)].append(client)
    for clients in alike.values():
        task = tasks[clients[0]]
        work = []
        for client in clients:
            examples = passes(shards[client], epochs, seed, "rewards", client)
            steps = steps_of(len(examples), training)
            work.append(LocalWork(client=client, examples=examples, first_step=0, schedule_steps=steps))
        start = torch.stack([task.model.init(torch_stream(seed, "reward model", k)) for k in clients])
        trained = executor.train(task, start.to(task.device), work, no_rule, training)
        for row, client in enumerate(clients):
            own = torch.from_numpy(shards[client]).to(task.device)
            models[client] = calibrated(client, task, trained.params[row], own)
    return [models[client] for client in range(len(tasks))]
