"""The preference track: what all runs of one of its scenarios share."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
from functools import cached_property, partial
from typing import Any

from torch import Tensor

from fedbench.api.aggregator import Shards
from fedbench.api.reward_fuser import RewardFuser
from fedbench.api.scenario import Rewards, Scenario
from fedbench.data.features import cache_folder
from fedbench.data.items import PreferenceData
from fedbench.evaluation.evaluator import Evaluator
from fedbench.federation.executors import AskedExecutor, Executor
from fedbench.federation.faults import FaultModel
from fedbench.federation.schedule import NO_FAULTS, passes
from fedbench.models.content import backbone_sha256
from fedbench.models.policy import Policy
from fedbench.preference.audit import Comparisons
from fedbench.preference.dpo import DPOProblem, DPOTask, Replies
from fedbench.preference.fitting import FittedRewardModels, fit
from fedbench.preference.grpo_run import GRPOProblem, GRPORun
from fedbench.preference.policy_trainer import PolicyTrainer
from fedbench.preference.queries import Queries
from fedbench.preference.responses import BackboneView, TokenizedResponses
from fedbench.preference.reward_cache import RewardModelCache, machine
from fedbench.preference.reward_federation import SimulatedRewardFederation
from fedbench.preference.reward_models import GoldAnswerReward, RewardTask, preference_signs
from fedbench.preference.reward_problem import RewardProblem
from fedbench.results.records import DataInfo
from fedbench.runs.aggregation import AggregationRun
from fedbench.runs.evaluation import RunEvaluator
from fedbench.runs.inputs import ContentHashes
from fedbench.runs.loading import Loaded
from fedbench.runs.protocol import Run
from fedbench.source_code import core_sha256

REPORT = 2
"""Version of the report cached with the reward models; another one has them fitted and measured again."""


@dataclass(frozen=True)
class PreferenceBench:
    """Everything that runs share and none of them changes.

    ``reference`` is what every run's policy starts as. ``view``: the frozen backbone that answers are read
    with; ``chosen`` and ``rejected``: those of the clients' preferences. ``tasks[k]`` fits client k's reward
    model, without a seed's label noise; clients whose models are alike share one. ``comparisons`` and
    ``gold``: the server's public preferences and the true reward. ``evaluator`` has a policy of its own.
    """

    scenario: Scenario
    loaded: Loaded
    data: PreferenceData
    reference: Policy
    view: BackboneView
    chosen: TokenizedResponses
    rejected: TokenizedResponses
    tasks: Sequence[RewardTask]
    shards: Shards
    comparisons: Comparisons
    gold: GoldAnswerReward
    evaluator: Evaluator
    say: Callable[[str], None]

    @property
    def content(self) -> ContentHashes:
        """The engine's own hashes of data, partition and backbone."""
        return self.loaded.content

    @property
    def info(self) -> DataInfo:
        """Data, backbone and partition as a record names them."""
        return self.loaded.info(self.shards, self.reference.space.size)

    def run(self, method: Any, seed: int, executor: AskedExecutor) -> Run:
        """A run in which rewards travel for a fuser; for an aggregator, the policy's parameters."""
        if isinstance(method, RewardFuser):
            return self.grpo_run(method, seed, executor)
        return AggregationRun(self.dpo_problem(seed), method, seed, executor)

    def grpo_run(self, fuser: RewardFuser, seed: int, executor: AskedExecutor) -> GRPORun:
        """A run of GRPO on a policy of its own."""
        spec = self.scenario.policy
        assert spec
        return GRPORun(
            GRPOProblem(
                rounds=self.scenario.federation.rounds,
                queries=self.queries,
                validation=self.validation,
                rewards=self.reward_problem(seed),
                federation=partial(self.federation, seed),
            ),
            fuser=fuser,
            trainer=PolicyTrainer(self.new_policy(), self.reference, spec),
            evaluation=RunEvaluator(
                spec=self.scenario.evaluation,
                evaluator=self.evaluator,
                seed=seed,
                clients=len(self.shards),
                baseline_params=self.reference.flat,
            ),
            executor=executor,
        )

    def dpo_problem(self, seed: int) -> DPOProblem:
        """DPO of the policy on the clients' preferences."""
        pairs, epochs = self.data.pairs, self.rewards.epochs
        queries = Queries.of(self.view, [pair.image for pair in pairs], [pair.prompt for pair in pairs])
        chosen, rejected = (
            Replies(queries.questions, self.view.llm.answer_ids(answers))
            for answers in ([pair.chosen for pair in pairs], [pair.rejected for pair in pairs])
        )
        return DPOProblem(
            scenario=self.scenario,
            task=DPOTask(reference=self.reference, chosen=chosen, rejected=rejected, sign=self.signs(seed)),
            shards=tuple(
                passes(shard, epochs, seed, "dpo", client) for client, shard in enumerate(self.shards)
            ),
            evaluator=self.evaluator,
        )

    def new_policy(self) -> Policy:
        """A policy at the start, with parameters of its own."""
        return Policy.of(self.loaded.backbone, self.loaded.features)

    @property
    def rewards(self) -> Rewards:
        """The scenario's section about reward models."""
        assert self.scenario.rewards
        return self.scenario.rewards

    @cached_property
    def queries(self) -> Queries:
        """The server's public questions."""
        queries = self.data.queries
        return Queries.of(self.view, [query.image for query in queries], [query.prompt for query in queries])

    @cached_property
    def validation(self) -> Queries:
        """The questions of the server's comparisons."""
        better = self.comparisons.better
        return Queries.of(self.view, better.images.tolist(), [prompt for prompt, _ in better.words])

    def fault_model(self, seed: int) -> FaultModel:
        """The faults under ``seed``."""
        return FaultModel(self.scenario.faults or NO_FAULTS, seed, len(self.shards))

    def signs(self, seed: int) -> Tensor:
        """[N]: −1 for preferences that a client has the wrong way round under ``seed``."""
        signs = preference_signs(
            self.shards, self.rewards.noise, self.fault_model(seed), len(self.data.pairs)
        )
        return signs.to(self.view.features.device)

    def reward_problem(self, seed: int) -> RewardProblem:
        """What reward models and a router are trained and measured on under ``seed``."""
        signs = self.signs(seed)
        noisy = {id(task): replace(task, sign=signs) for task in self.tasks}
        return RewardProblem(
            seed=seed,
            tasks=[noisy[id(task)] for task in self.tasks],
            shards=self.shards,
            chosen=self.chosen,
            rejected=self.rejected,
            comparisons=self.comparisons,
            gold=self.gold,
            images=self.data.images,
            training=self.scenario.training,
            rewards=self.rewards,
            budget=self.scenario.budget,
            fault_model=self.fault_model(seed),
        )

    def federation(self, seed: int, executor: Executor) -> SimulatedRewardFederation:
        """The federation with its reward models fitted under ``seed``."""
        problem = self.reward_problem(seed)
        return SimulatedRewardFederation(problem, self.fitted(problem, executor), executor)

    def fitted(self, problem: RewardProblem, executor: Executor) -> FittedRewardModels:
        """The clients' reward models; from the cache if they are there."""
        key = self.scenario.model_dump(mode="json", include={"training", "rewards", "faults"}) | {
            "content": asdict(self.content),
            "reward_backbones": [backbone_sha256(task.chosen.llm.backbone) for task in self.tasks],
            "code": core_sha256(),
            "executor": [executor.name, executor.chunk],
            "machine": machine(self.view.features.device),
            "seed": problem.seed,
            "report": REPORT,
        }
        cache = RewardModelCache(cache_folder() / "reward-models", self.say)
        return cache.get(key, problem.tasks, lambda: fit(problem, executor))
