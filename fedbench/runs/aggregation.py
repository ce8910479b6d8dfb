"""A run in which parameters travel: rounds of the one round loop, each of them measured."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from functools import reduce
from typing import Protocol

import numpy as np
from torch import Tensor

from fedbench.data.features import cache_folder
from fedbench.evaluation.evaluator import Evaluator
from fedbench.federation.checkpoint import Checkpoint
from fedbench.federation.client_state import ClientState, fresh
from fedbench.federation.executors import Executor, ExecutorName, make_executor
from fedbench.federation.loop import evaluated, federate, plan
from fedbench.federation.schedule import cohort
from fedbench.federation.task import Task
from fedbench.federation.updates import Updates
from fedbench.api.metrics import Costs, Measure
from fedbench.api.aggregator import Aggregator, Context, State
from fedbench.params import digest, own
from fedbench.results.records import RoundEntry
from fedbench.api.scenario import Scenario, Training
from fedbench.runs.protocol import ProgressCallbacks
from fedbench.runs.diagnostics import plain
from fedbench.runs.evaluation import RunEvaluator


class AggregationProblem(Protocol):
    """What is learned by an exchange of parameters, and how it is measured."""

    @property
    def scenario(self) -> Scenario: ...

    @property
    def task(self) -> Task: ...

    @property
    def training(self) -> Training: ...

    @property
    def shards(self) -> Sequence[np.ndarray]: ...

    @property
    def label_flip_offset(self) -> int:
        """How far on an example's wrongly labelled twin lies."""
        ...

    @property
    def evaluator(self) -> Evaluator: ...

    @property
    def baseline_params(self) -> Tensor | None:
        """Whom the final answers are held against, [P]."""
        ...

    def init(self, seed: int) -> Tensor:
        """The first global parameters [P]."""
        ...


class AggregationRun:
    """One aggregator with one seed (a :class:`fedbench.runs.protocol.Run`)."""

    def __init__(self, bench: AggregationProblem, aggregator: Aggregator, seed: int, executor: ExecutorName) -> None:
        self.bench, self.aggregator, self.seed, self.executor_name = bench, aggregator, seed, executor
        self.shards = aggregator.population(bench.shards)
        self.federation = bench.scenario.federation
        self.state: State = {}
        self.client_state: ClientState = {}
        self.late: Updates = {}
        self._evaluation = RunEvaluator(
            bench.scenario.evaluation, bench.evaluator, seed, self.federation.clients,
            aggregator.personalised, bench.baseline_params,
        )  # fmt: skip

    @property
    def examples(self) -> int:
        """All of everyone who takes part."""
        fed, clients = self.federation, len(self.shards)
        taking_part = {k for r in range(fed.rounds) for k in cohort(self.seed, r + 1, clients, fed.cohort)}
        return sum(len(self.shards[client]) for client in taking_part)

    def executor(self, saved: Mapping[str, object] | None) -> Executor:
        if saved:
            return Executor.as_saved(saved)
        size = self.federation.cohort
        clients = cohort(self.seed, 1, len(self.shards), size)
        if not clients:
            return Executor("serial", 1)
        training = self.bench.training
        work = plan(self.shards, clients, 1, self.federation.rounds, training, self.seed, size)
        folder = cache_folder() / "executors"
        return make_executor(self.executor_name, self.bench.task, work, training, folder)

    def rounds(self, executor: Executor, resume: Checkpoint | None, progress: ProgressCallbacks) -> Iterator[RoundEntry]:
        bench, scenario = self.bench, self.bench.scenario
        if resume is None:
            params = bench.init(self.seed).to(bench.task.device)
            context = Context(bench.task.space, len(self.shards), self.federation.rounds)
            self.state = own(self.aggregator.initial_state(params, context))
            self.client_state = fresh(self.aggregator.initial_client_state(params), len(self.shards))
            models = self._evaluated()
            yield self._evaluation.measured(RoundEntry(round=0, digest=digest(models)), models)
            spent = Costs()
        else:
            self.state, self.client_state, self.late = resume.state, resume.client_state, resume.late
            spent = reduce(Costs.__add__, (RoundEntry.model_validate(e).costs for e in resume.entries))
        for done in federate(
            bench.task, self.aggregator, self.state, self.shards, self.federation, bench.training, executor,
            seed=self.seed, after=resume.round if resume else 0, client_state=self.client_state, late=self.late, spent=spent,
            budget=scenario.budget, faults=scenario.faults, label_flip_offset=bench.label_flip_offset, tick=progress.tick,
        ):  # fmt: skip
            self.state, self.client_state, self.late = done.state, done.client_state, done.late
            entry = RoundEntry(
                round=done.number,
                cohort=list(done.cohort),
                left_out={str(client): why for client, why in sorted(done.left_out.items())},
                came_late=list(done.came_late),
                attackers=list(done.attackers),
                loss=done.loss,
                digest=done.digest,
                costs=done.costs,
                diagnostics=plain(done.diagnostics),
            )
            yield self._evaluation.measured(entry, self._evaluated())

    def final(self) -> tuple[dict[str, Measure], dict[str, dict[str, Measure]]]:
        return self._evaluation.final(self._evaluated())

    def _evaluated(self) -> Tensor:
        return evaluated(self.aggregator, self.state, len(self.shards))
