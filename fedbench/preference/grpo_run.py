"""A run in which rewards travel: fit what the fuser needs, then rounds of GRPO steps, each round measured.

MoR, arXiv 2605.03426, §3: sample a group of answers to each query; query the reward sources that the fuser
routes to; fuse what they return; update the policy; give the fuser feedback.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from fedbench.api.aggregator import State
from fedbench.api.metrics import BYTES_PER_NUMBER, Costs, Measure
from fedbench.api.reward_fuser import PolicyStepFeedback, ResponseBatch, RewardFuser
from fedbench.errors import UsageError
from fedbench.federation.executors import AskedExecutor, Executor
from fedbench.federation.ledger import exceeded
from fedbench.federation.run_state import RunState
from fedbench.models.policy import Answers
from fedbench.params import digest, own
from fedbench.preference.audit import RoutingReport
from fedbench.preference.fuser_view import FuserView
from fedbench.preference.policy_trainer import PolicyTrainer, PolicyUpdate
from fedbench.preference.queries import Queries
from fedbench.preference.reward_channel import RewardChannel
from fedbench.preference.reward_federation import SimulatedRewardFederation
from fedbench.preference.reward_models import RewardScorer
from fedbench.preference.reward_problem import RewardProblem
from fedbench.preference.step_figures import LOSS, StepFigures
from fedbench.results.records import RoundEntry
from fedbench.rng import numpy_stream, torch_stream
from fedbench.runs.diagnostics import plain
from fedbench.runs.evaluation import FinalMeasures, RunEvaluator, defined
from fedbench.runs.protocol import MeasuredRound, ProgressCallbacks

FUSER = "fuser/"
"""Prefix of the fuser's tensors in a run's state."""


@dataclass(frozen=True)
class Sampled:
    """A group of answers to each of a step's queries; ``responses`` is how reward sources read them."""

    queries: Queries
    answers: Answers
    responses: ResponseBatch


@dataclass(frozen=True)
class Queried:
    """The routing of N answers over K sources and what they returned, ``weights`` and ``rewards`` [N, K]."""

    weights: Tensor
    rewards: Tensor


@dataclass(frozen=True)
class GRPOProblem:
    """What a run of GRPO is given: the rules, the public questions and the reward side, under one seed.

    ``rounds`` of policy steps; ``queries``: the server's, which the policy is trained on; ``validation``: the
    questions of its comparisons; ``rewards``: what reward models are trained and measured on; ``federation``
    gives the federation with fitted reward models.
    """

    rounds: int
    queries: Queries
    validation: Queries
    rewards: RewardProblem
    federation: Callable[[Executor], SimulatedRewardFederation]


class GRPORun:
    """One fuser with one seed (a :class:`fedbench.runs.protocol.Run`).

    A run's state holds the policy, its optimiser's moments and, under ``fuser/``, the fuser's state.
    """

    def __init__(
        self,
        problem: GRPOProblem,
        *,
        fuser: RewardFuser,
        trainer: PolicyTrainer,
        evaluation: RunEvaluator,
        executor: AskedExecutor,
    ) -> None:
        self.problem, self.fuser, self.trainer, self.evaluation = problem, fuser, trainer, evaluation
        self.asked, self.spec = executor, trainer.spec
        self.seed, self.comparisons = problem.rewards.seed, problem.rewards.comparisons
        self.sources: list[RewardScorer] = []
        self.fuser_state: State = {}
        self._routing: RoutingReport | None = None
        self._reward_measures: Mapping[str, Measure] = {}

    @property
    def queries_per_step(self) -> int:
        """Queries of a step, no more than there are."""
        return min(self.spec.queries, len(self.problem.queries))

    @property
    def answers_per_step(self) -> int:
        """Answers that the policy samples in a step."""
        return self.queries_per_step * self.spec.group

    @property
    def examples(self) -> int:
        """Answers that the policy samples in the whole run."""
        return self.problem.rounds * self.spec.steps * self.answers_per_step

    @property
    def contract(self) -> None:
        """Nothing: rewards travel, and the reward channel bills them."""

    def executor(self, saved: Mapping[str, object] | None) -> Executor:
        """The executor for fitting reward models and training a router; the saved one if there is one."""
        return Executor.as_saved(saved) if saved else self.problem.rewards.executor(self.asked)

    def rounds(
        self, executor: Executor, resume: RunState | None, progress: ProgressCallbacks
    ) -> Iterator[MeasuredRound]:
        """Round 0 (the untouched start) and all others, or those after ``resume``."""
        federation = self._choose_sources(executor)
        if resume is None:
            state, entry = self._start(federation)
            yield MeasuredRound(entry=entry, state=state)
        else:
            state = self._restore(resume)
        channel = RewardChannel(self.sources, self.problem.rewards.images, self.problem.rewards.fault_model)
        most = Costs(
            uplink_bytes=BYTES_PER_NUMBER * len(channel.clients) * self.spec.steps * self.answers_per_step
        )
        for number in range(state.round + 1, self.problem.rounds + 1):
            if exceeded(self.problem.rewards.budget, state.spent + most):
                return
            entry = self._round(number, channel, progress)
            state = RunState(round=number, state=self._state(), spent=state.spent + entry.costs)
            yield MeasuredRound(entry=entry, state=state)

    def final(self, state: RunState) -> FinalMeasures:
        """Measure the policy that the run ended with, and add what is known of reward models and routing."""
        measured = self.evaluation.final(self._models)
        more, _ = defined({**self._reward_measures, **self._routing_measures()})
        return replace(measured, final={**measured.final, **more})

    def save(self, state: RunState, folder: Path) -> None:
        """Refuse: policies are not saved yet."""
        raise UsageError("a policy can't be saved", why="only the alignment track's models are")

    def _choose_sources(self, executor: Executor) -> SimulatedRewardFederation:
        """Fit the reward models and let the fuser choose its sources among them."""
        federation = self.problem.federation(executor)
        view = FuserView(federation, self.fuser)
        self.sources = view.scorers(self.fuser.sources(view))
        if any(source.client is not None for source in self.sources):
            self._reward_measures = federation.fitted.measures
            federation.costs += federation.fitted.costs
        if self.sources:
            self._routing = RoutingReport(self.sources, self.comparisons, self.seed)
        return federation

    def _start(self, federation: SimulatedRewardFederation) -> tuple[RunState, RoundEntry]:
        """Round 0: the untouched policy, and what was fitted and trained before it."""
        self.fuser_state = own(self.fuser.fit(FuserView(federation, self.fuser)))
        entry = RoundEntry(
            round=0,
            digest=digest(self._models),
            costs=federation.costs,
            diagnostics=plain(self._first_diagnostics(federation)) if self.sources else {},
        )
        state = RunState(round=0, state=self._state(), spent=federation.costs)
        return state, self.evaluation.measured(entry, self._models)

    def _first_diagnostics(self, federation: SimulatedRewardFederation) -> dict[str, Any]:
        return {
            **self.fuser.diagnostics(self.fuser_state),
            "reward_models": federation.fitted.per_client,
            "routing": {name: measure.value for name, measure in self._routing_measures().items()},
        }

    def _restore(self, resume: RunState) -> RunState:
        """Go on from ``resume``."""
        self.trainer.restore(resume.state)
        fuser_state = {k.removeprefix(FUSER): v.cpu() for k, v in resume.state.items() if k.startswith(FUSER)}
        self.fuser_state = own(fuser_state)
        return resume

    @property
    def _models(self) -> Tensor:
        """What is evaluated, [1, P]: the policy as it is."""
        return self.trainer.policy.flat[None]

    def _state(self) -> State:
        """Copies of the policy, its optimiser's moments and the fuser's state."""
        fuser_state = {f"{FUSER}{name}": tensor for name, tensor in self.fuser_state.items()}
        return own({**self.trainer.state, **fuser_state})

    def _round(self, number: int, channel: RewardChannel, progress: ProgressCallbacks) -> RoundEntry:
        """The policy steps of a round, measured."""
        begin, figures, steps = time.perf_counter(), StepFigures(), self.spec.steps
        if self.sources:
            for step in range((number - 1) * steps + 1, number * steps + 1):
                latest = self._step(step, channel)
                figures.add(latest)
                progress.tick(self.answers_per_step, torch.tensor([latest[LOSS]]))
                progress.step(step, self.problem.rounds * steps, latest)
        entry = self._entry(number, channel, figures, time.perf_counter() - begin)
        entry = self.evaluation.measured(entry, self._models)
        measures, undefined = defined(figures.measures())
        added = {
            "metrics": entry.metrics | measures,
            "undefined": sorted({*entry.undefined, *undefined}),
        }
        return entry.model_copy(update=added)

    def _entry(self, number: int, channel: RewardChannel, figures: StepFigures, seconds: float) -> RoundEntry:
        """What happened in a round that took ``seconds``."""
        report, diagnostics = channel.close_round(self.spec.steps), {}
        if figures.values:
            diagnostics = {**self.fuser.diagnostics(self.fuser_state), "queried": report.queried}
        attackers = self.problem.rewards.fault_model.byzantine & set(report.cohort)
        return RoundEntry(
            round=number,
            cohort=report.cohort,
            left_out=report.left_out,
            attackers=sorted(attackers),
            digest=digest(self._models),
            costs=report.costs + Costs(server_seconds=seconds - report.costs.client_seconds),
            loss=figures.mean(LOSS),
            diagnostics=plain(diagnostics),
        )

    def _step(self, number: int, channel: RewardChannel) -> dict[str, float]:
        """One policy step; its figures."""
        sampled = self._sample(number)
        queried = self._query(number, channel, sampled)
        fused = self.fuser.fuse(self.fuser_state, queried.rewards, queried.weights)
        update = self.trainer.update(sampled.queries.questions, sampled.answers, fused)
        self._give_feedback(sampled, queried, fused, update)
        return self._figures(sampled, fused, update)

    def _sample(self, step: int) -> Sampled:
        """Sample a group of answers to each query of the step."""
        queries = self.problem.queries.rows(self._drawn_queries(step))
        answers = self.trainer.sample(queries.questions, torch_stream(self.seed, "answers", step))
        return Sampled(queries=queries, answers=answers, responses=queries.responses(answers).everything)

    def _query(self, step: int, channel: RewardChannel, sampled: Sampled) -> Queried:
        """Query the sources that the fuser routes to."""
        stream = torch_stream(self.seed, "route", step)
        weights = self.fuser.route(self.fuser_state, sampled.responses, len(self.sources), stream)
        return Queried(weights=weights, rewards=channel.query(step, sampled.responses, weights))

    def _give_feedback(self, sampled: Sampled, queried: Queried, fused: Tensor, update: PolicyUpdate) -> None:
        """Give the fuser feedback on the step."""
        feedback = PolicyStepFeedback(
            responses=sampled.responses,
            rewards=queried.rewards,
            weights=queried.weights,
            fused=fused,
            objective=lambda: self.trainer.objective(update),
            validation=self._validation,
        )
        self.fuser_state = own(self.fuser.feedback(self.fuser_state, feedback))

    def _figures(self, sampled: Sampled, fused: Tensor, update: PolicyUpdate) -> dict[str, float]:
        """What is logged of a step; terms of the loss are those before the update."""
        answers = sampled.answers
        return {
            LOSS: float(update.before.loss),
            "policy/reward": float(fused[fused.isfinite()].mean()),
            "policy/gold": float(self.problem.rewards.gold.score(sampled.responses).mean()),
            "policy/kl": float(update.before.kl),
            "policy/clipped": float(update.last.clipped),
            "policy/unparsed": 1 - float(answers.ended.float().mean()),
            "policy/tokens": float(answers.mask.sum(1).float().mean()),
        }

    def _drawn_queries(self, step: int) -> list[int]:
        """The queries of a step: each pass over them is in a new order."""
        count, each = len(self.problem.queries), self.queries_per_step
        turn, position = divmod(step - 1, count // each)
        order = numpy_stream(self.seed, "queries", turn).permutation(count)
        return [int(i) for i in order[position * each : (position + 1) * each]]

    def _validation(self) -> float:
        """The share of the validation queries that the policy now answers rightly."""
        queries = self.problem.validation
        responses = queries.responses(self.trainer.likeliest(queries.questions)).everything
        return float(self.problem.rewards.gold.score(responses).mean())

    def _routing_measures(self) -> dict[str, Measure]:
        """Measures of the fuser's routing as it is now; none without sources."""
        return self._routing.measures(self.fuser, self.fuser_state) if self._routing else {}
