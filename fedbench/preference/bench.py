"""The preference track: what all runs of one of its scenarios share."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np
import torch
from torch import Tensor

from fedbench.api.aggregator import Shards
from fedbench.api.metrics import Costs
from fedbench.api.reward_fuser import RewardFuser
from fedbench.api.scenario import Rewards, Scenario, Training
from fedbench.catalog import Catalog
from fedbench.data.features import cache_folder
from fedbench.data.items import PreferenceData
from fedbench.errors import UsageError
from fedbench.evaluation.evaluator import Evaluator
from fedbench.federation.executors import Executor, ExecutorName
from fedbench.federation.faults import FaultModel
from fedbench.federation.schedule import NO_FAULTS
from fedbench.models.backbone import Backbone
from fedbench.models.language import LanguageModel
from fedbench.models.policy import Policy, Questions
from fedbench.models.projector import Projector
from fedbench.models.rewards import make_reward
from fedbench.preference.audit import Comparisons, TrainingPreferences, reward_report
from fedbench.preference.dpo import DPOTask, Replies
from fedbench.preference.fitting import Fitted, RewardModelCache, machine
from fedbench.preference.grpo_run import GRPORun
from fedbench.preference.reward_federation import SimulatedRewardFederation, epochs, fit_reward_models
from fedbench.preference.reward_models import BackboneView, GoldAnswerReward, RewardTask, TokenizedResponses
from fedbench.results.records import DataInfo
from fedbench.rng import numpy_stream
from fedbench.runs.aggregation import AggregationRun
from fedbench.runs.loading import Loaded, encoded, load
from fedbench.runs.protocol import Run

REPORT = 2
"""Of what is cached with the reward models; another one has them fitted, and looked into, again."""


@dataclass(frozen=True)
class PreferenceBench:
    """``policy`` is trained in place, run after run; ``reference`` is what it starts as, ``start`` [P] its
    parameters. ``chosen`` and ``rejected`` are the clients' answers as the policy's backbone reads them;
    ``tasks[k]`` fits client k's reward model (one object for clients alike), without a seed's label noise."""

    scenario: Scenario
    loaded: Loaded
    data: PreferenceData
    policy: Policy
    reference: Policy
    start: Tensor
    chosen: TokenizedResponses
    rejected: TokenizedResponses
    tasks: Sequence[RewardTask]
    evaluator: Evaluator
    shards: Shards
    comparisons: Comparisons
    gold: GoldAnswerReward
    say: Callable[[str], None]

    @property
    def info(self) -> DataInfo:
        return self.loaded.info(self.shards, self.policy.space.size)

    @property
    def llm(self) -> LanguageModel:
        """The backbone's, frozen: as the clients read."""
        return LanguageModel(self.loaded.backbone)

    @property
    def device(self) -> torch.device:
        return self.start.device

    @cached_property
    def queries(self) -> Questions:
        """The server's public questions."""
        images = torch.tensor([query.image for query in self.data.queries], device=self.device)
        return Questions(images, self.llm.prompt_ids([query.prompt for query in self.data.queries]))

    def run(self, method: Any, seed: int, executor: ExecutorName) -> Run:
        """Rewards travel for a fuser; for an aggregator, the policy's parameters."""
        if isinstance(method, RewardFuser):
            return GRPORun(self, method, seed, executor)
        return AggregationRun(DPOProblem(self, seed), method, seed, executor)

    def fault_model(self, seed: int) -> FaultModel:
        """What goes wrong under ``seed``."""
        return FaultModel(self.scenario.faults or NO_FAULTS, seed, len(self.shards))

    def signs(self, seed: int) -> Tensor:
        """[N]: −1 for preferences that a client has the wrong way round, by noise or because it attacks."""
        noise = self.rewards.noise
        fault_model = self.fault_model(seed)
        flippers = fault_model.byzantine if fault_model.spec.attack == "label-flip" else ()
        signs = torch.ones(len(self.data.pairs))
        for client, shard in enumerate(self.shards):
            rate = noise[client % len(noise)]
            wrong = numpy_stream(seed, "noise", client).random(len(shard)) < rate
            signs[shard[wrong]] = -1
            if client in flippers:
                signs[shard] *= -1
        return signs.to(self.device)

    def fitted(self, seed: int, executor: Executor) -> Fitted:
        """The clients' reward models under ``seed``; from the cache if they are there."""
        parts = self.scenario.model_dump(mode="json", include={"training", "rewards", "faults"})
        key = parts | {
            "backbone": self.loaded.backbone.fingerprint,
            "data": self.data.fingerprint,
            "partition": self.loaded.partition.fingerprint,
            "lenses": [task.chosen.llm.backbone.fingerprint for task in self.tasks],
            "executor": [executor.name, executor.chunk],
            "machine": machine(self.device),
            "seed": seed,
            "report": REPORT,
        }
        tasks = self.noisy_tasks(seed)
        cache = RewardModelCache(cache_folder() / "judges", self.say)
        return cache.get(key, tasks, lambda: self._fit(tasks, seed, executor))

    @property
    def rewards(self) -> Rewards:
        assert self.scenario.rewards
        return self.scenario.rewards

    def noisy_tasks(self, seed: int) -> list[RewardTask]:
        """The tasks with the seed's label noise."""
        signs = self.signs(seed)
        noisy = {id(task): replace(task, sign=signs) for task in self.tasks}
        return [noisy[id(task)] for task in self.tasks]

    def federation(self, fitted: Fitted, seed: int, executor: Executor) -> SimulatedRewardFederation:
        return SimulatedRewardFederation(
            fitted.sources, self.noisy_tasks(seed), self.shards, self.chosen, self.rejected,
            (self.comparisons.better, self.comparisons.worse), self.gold, executor,
            self.scenario.training, self.rewards, seed, self.data.images, self.fault_model(seed),
            self.scenario.budget,
        )  # fmt: skip

    def _fit(self, tasks: Sequence[RewardTask], seed: int, executor: Executor) -> Fitted:
        begin = time.perf_counter()
        passes = self.rewards.epochs
        sources = fit_reward_models(tasks, self.shards, self.scenario.training, passes, executor, seed)
        examples = passes * sum(map(len, self.shards))
        costs = Costs(client_examples=examples, client_seconds=time.perf_counter() - begin)
        signs, own = self.signs(seed), [torch.from_numpy(shard).to(self.device) for shard in self.shards]
        preferences = [
            TrainingPreferences(self.chosen.responses(i), self.rejected.responses(i), signs[i]) for i in own
        ]
        measures, clients = reward_report(sources, preferences, self.comparisons)
        return Fitted(sources, costs, measures, clients)


@dataclass(frozen=True)
class DPOProblem:
    """The policy learned by an exchange of its parameters (a :class:`.parameters.AggregationProblem`)."""

    bench: PreferenceBench
    seed: int
    label_flip_offset = 0

    @property
    def scenario(self) -> Scenario:
        return self.bench.scenario

    @property
    def evaluator(self) -> Evaluator:
        return self.bench.evaluator

    @property
    def baseline_params(self) -> Tensor:
        return self.bench.start

    def init(self, seed: int) -> Tensor:
        return self.bench.start

    @cached_property
    def training(self) -> Training:
        """Batches as the clients' reward models have them, the optimiser as GRPO has it."""
        policy = self.scenario.policy
        assert policy
        return Training(
            batch_size=self.scenario.training.batch_size,
            lr=policy.lr,
            weight_decay=policy.weight_decay,
            grad_norm=policy.grad_norm,
            schedule="constant",
        )

    @cached_property
    def task(self) -> DPOTask:
        bench, pairs = self.bench, self.bench.data.pairs
        images = torch.tensor([pair.image for pair in pairs], device=bench.device)
        questions = Questions(images, bench.llm.prompt_ids([pair.prompt for pair in pairs]))
        chosen, rejected = (
            Replies(questions, bench.llm.answer_ids([getattr(pair, side) for pair in pairs]))
            for side in ("chosen", "rejected")
        )
        return DPOTask(bench.policy, bench.start, chosen, rejected, bench.signs(self.seed))

    @cached_property
    def shards(self) -> Shards:
        """As many passes over them as the reward models get."""
        return tuple(
            epochs(shard, self.bench.rewards.epochs, self.seed, "dpo", client)
            for client, shard in enumerate(self.bench.shards)
        )


def prepare(
    scenario: Scenario, catalog: Catalog, device: torch.device, say: Callable[[str], None]
) -> PreferenceBench:
    """Load and check everything the scenario names; encode its images if the cache has not got them."""
    loaded = load(scenario, catalog, device, say)
    data, backbone = loaded.data, loaded.backbone
    if not isinstance(data, PreferenceData):
        raise UsageError(f"scenario {scenario.name!r}: data {data.name!r} has no preferences to learn")
    if backbone.projector is None:
        raise UsageError(
            f"scenario {scenario.name!r}: backbone {backbone.name!r} can't be a policy",
            why="it has no projector, so it does not see",
            fix="name a whole vision-language model",
        )
    check_preferences(scenario, data)
    start = backbone.projector.to(device)
    projector = Projector.holding(start, loaded.features.shape[-1], backbone.width)
    policy, reference = (Policy(backbone, projector, start, loaded.features) for _ in range(2))
    own = BackboneView(LanguageModel(backbone), loaded.features)
    pairs, comparisons = data.pairs, data.comparisons
    chosen, rejected = own.read(pairs, "chosen"), own.read(pairs, "rejected")
    units = data.units.tolist()
    owners = [loaded.partition.client_of(units[comparison.image]) for comparison in comparisons]
    right = {(query.image, query.prompt): query.answer for query in data.queries}
    right |= {(item.image, item.prompt): item.chosen for item in comparisons}
    limit = scenario.policy.max_tokens if scenario.policy else 0
    return PreferenceBench(
        scenario, loaded, data, policy, reference.requires_grad_(False), policy.flat.clone(),
        chosen, rejected, _tasks(scenario, catalog, loaded, chosen, rejected, say),
        Evaluator(
            policy.llm, policy.project, data.suites, loaded.metrics, units, loaded.partition, limit=limit
        ),
        loaded.partition.shards(data),
        Comparisons(
            own.read(comparisons, "chosen"), own.read(comparisons, "rejected"),
            np.array([-1 if owner is None else owner for owner in owners]),
        ),
        GoldAnswerReward(right), say,
    )  # fmt: skip


def check_preferences(scenario: Scenario, data: PreferenceData) -> None:
    """Refuse what can't be learned from or asked: empty and tied pairs, no queries, suites of other forms."""
    where = f"scenario {scenario.name!r}: data {data.name!r}"
    for number, pair in enumerate((*data.pairs, *data.comparisons)):
        if not pair.chosen.strip() or not pair.rejected.strip():
            raise UsageError(f"{where}: preference {number} has an empty answer", why=repr(pair.prompt))
        if pair.chosen.strip() == pair.rejected.strip():
            raise UsageError(
                f"{where}: preference {number} is a tie", why=f"both answers are {pair.chosen!r}"
            )
    if not data.queries or not data.comparisons:
        raise UsageError(f"{where} has no public {'comparisons' if data.queries else 'queries'}")
    spec = scenario.evaluation
    for key in (*spec.each_round, *spec.final):
        if (form := data.suites[key].form) != "generate":
            raise UsageError(
                f"{where}: suite {key!r} is of form {form!r}",
                why="a policy is responses by what it generates",
            )


def _tasks(
    scenario: Scenario,
    catalog: Catalog,
    loaded: Loaded,
    chosen: TokenizedResponses,
    rejected: TokenizedResponses,
    say: Callable[[str], None],
) -> list[RewardTask]:
    """Client k's task; clients with the same kind of reward model share one."""
    assert scenario.rewards and isinstance(loaded.data, PreferenceData)
    kinds, clients = scenario.rewards.models, scenario.federation.clients
    sign = torch.ones(len(chosen), device=chosen.ids.device)
    made: dict[str, RewardTask] = {}
    for spec in kinds:
        if (kind := spec.model_dump_json()) in made:
            continue
        view, sides = None, (chosen, rejected)
        if spec.backbone is not None:
            other: Backbone = catalog.backbone(spec.backbone)
            spec.backbone.check("a reward model's backbone", other.fingerprint)
            other.freeze(sign.device)
            view = BackboneView(LanguageModel(other), encoded(other, loaded.data, sign.device, say))
            sides = (view.read(loaded.data.pairs, "chosen"), view.read(loaded.data.pairs, "rejected"))
        width, hidden = sides[0].features.shape[-1], scenario.training.hidden
        made[kind] = RewardTask(
            make_reward(spec.architecture, sides[0].llm, width, hidden), *sides, sign, view
        )
    return [made[kinds[client % len(kinds)].model_dump_json()] for client in range(clients)]
