"""A run in which rewards travel: fit or train what the fuser needs, then rounds of GRPO steps, each measured.

MoR, arXiv 2605.03426, §3: sample a group of answers to each query, query the sources the fuser routes to,
fuse
what they say, update the policy, tell the fuser.
"""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from fedbench.api.aggregator import State
from fedbench.api.metrics import Costs, Measure
from fedbench.api.reward_fuser import PolicyStepFeedback, RewardFuser, RewardSource
from fedbench.data.features import cache_folder
from fedbench.evaluation.estimates import mean
from fedbench.federation.executors import Executor, ExecutorName, make_executor
from fedbench.federation.ledger import exceeded
from fedbench.federation.local import LocalWork
from fedbench.federation.run_state import RunState
from fedbench.models.policy import Answers, Questions
from fedbench.params import digest, own
from fedbench.preference.audit import RoutingReport
from fedbench.preference.grpo import Terms, advantages, grpo_terms
from fedbench.preference.reward_channel import SCALAR_BYTES, RewardChannel
from fedbench.preference.reward_models import TokenizedResponses
from fedbench.results.records import RoundEntry
from fedbench.rng import numpy_stream, torch_stream
from fedbench.runs.diagnostics import plain
from fedbench.runs.evaluation import RunEvaluator, defined
from fedbench.runs.protocol import MeasuredRound, ProgressCallbacks

if TYPE_CHECKING:
    from fedbench.preference.bench import PreferenceBench

FUSER = "fuser/"
MOMENTS = ("exp_avg", "exp_avg_sq", "step")


class GRPORun:
    """One fuser with one seed (a :class:`fedbench.runs.protocol.Run`). ``state`` holds the policy, its
    optimiser's moments and, behind ``fuser/``, the fuser's state."""

    def __init__(self, bench: PreferenceBench, fuser: RewardFuser, seed: int, executor: ExecutorName) -> None:
        assert bench.scenario.policy
        self.bench, self.fuser, self.seed, self.executor_name = bench, fuser, seed, executor
        self.spec, self.rounds_asked = bench.scenario.policy, bench.scenario.federation.rounds
        self.state: State = {}
        self.fault_model = bench.fault_model(seed)
        self._evaluation = RunEvaluator(
            bench.scenario.evaluation, bench.evaluator, seed, len(bench.shards), baseline_params=bench.start
        )
        self._sources: list[RewardSource] = []
        self._found: dict[str, Measure] = {}
        self._routing: RoutingReport | None = None

    @property
    def examples(self) -> int:
        """Answers that the policy writes."""
        return self.rounds_asked * self.spec.steps * self.answers

    @property
    def queries(self) -> int:
        """Of a step: no more than there are."""
        return min(self.spec.queries, len(self.bench.data.queries))

    @property
    def answers(self) -> int:
        """Of a step."""
        return self.queries * self.spec.group

    def executor(self, saved: Mapping[str, object] | None) -> Executor:
        if saved:
            return Executor.as_saved(saved)
        bench, training = self.bench, self.bench.scenario.training
        alike = [k for k, task in enumerate(bench.tasks) if task is bench.tasks[0]]
        work = [LocalWork(k, bench.shards[k], 0, 1) for k in alike]
        folder = cache_folder() / "executors"
        return make_executor(self.executor_name, bench.tasks[0], work, training, folder)

    def rounds(
        self, executor: Executor, resume: RunState | None, progress: ProgressCallbacks
    ) -> Iterator[MeasuredRound]:
        bench, spec = self.bench, self.spec
        fitted = bench.fitted(self.seed, executor)
        federation = bench.federation(fitted, self.seed, executor)
        self._sources = list(self.fuser.sources(federation))
        remote = sum(source.client is not None for source in self._sources)
        if remote:
            self._found = dict(fitted.measures)
            federation.costs += fitted.costs
        if self._sources:
            self._routing = RoutingReport(self._sources, bench.comparisons, self.seed)
        if resume is None:
            bench.policy.load(bench.start)
            optimizer = self._optimizer({})
            self.fuser_state = own(self.fuser.fit(federation))
            spent, after = federation.costs, 0
            entry = self._started(fitted.clients, spent, optimizer)
            yield MeasuredRound(entry=entry, state=RunState(round=0, state=self.state, spent=spent))
        else:
            bench.policy.load(resume.state["policy"])
            optimizer = self._optimizer(resume.state)
            self.fuser_state = own(
                {k.removeprefix(FUSER): v.cpu() for k, v in resume.state.items() if k.startswith(FUSER)}
            )
            self.state, after, spent = resume.state, resume.round, resume.spent
        channel = RewardChannel(self._sources, bench.data.images, self.fault_model)
        most = Costs(uplink_bytes=SCALAR_BYTES * remote * spec.steps * self.answers)
        for number in range(after + 1, self.rounds_asked + 1):
            if exceeded(bench.scenario.budget, spent + most):
                return
            begin, log = time.perf_counter(), StepLog()
            if self._sources:
                for step in range((number - 1) * spec.steps + 1, number * spec.steps + 1):
                    self._step(step, channel, optimizer, log)
                    figures = log.last()
                    progress.tick(self.answers, torch.tensor([figures["policy/loss"]]))
                    progress.step(step, self.rounds_asked * spec.steps, figures)
            seconds = time.perf_counter() - begin
            entry = self._ended(number, channel, log, seconds, optimizer)
            spent += entry.costs
            yield MeasuredRound(entry=entry, state=RunState(round=number, state=self.state, spent=spent))

    def final(self, state: RunState) -> tuple[dict[str, Measure], dict[str, dict[str, Measure]]]:
        found, controls = self._evaluation.final(self._models())
        routing = self._routing.measures(self.fuser, self.fuser_state) if self._routing else {}
        return found | defined(self._found | routing)[0], controls

    def _step(self, number: int, channel: RewardChannel, optimizer: torch.optim.AdamW, log: StepLog) -> None:
        """Answers, rewards, an update of the policy, feedback."""
        spec, bench = self.spec, self.bench
        policy, picked = bench.policy, self._picked(number)
        prompts = [bench.queries.prompts[i] for i in picked]
        questions = Questions(bench.queries.images[picked], prompts)
        answers = policy.sample(
            questions, spec.group, limit=spec.max_tokens, temperature=spec.temperature,
            stream=torch_stream(self.seed, "answers", number),
        )  # fmt: skip
        everyone = questions.repeated(spec.group)
        said = [bench.data.queries[i].prompt for i in picked for _ in range(spec.group)]
        responses = self._read(everyone, answers, said).everything
        weights = self.fuser.route(
            self.fuser_state, responses, len(self._sources), torch_stream(self.seed, "route", number)
        )
        rewards = channel.query(number, responses, weights)
        fused = self.fuser.fuse(self.fuser_state, rewards, weights)
        advantage = advantages(fused.view(-1, spec.group)).flatten().to(bench.device)
        with torch.no_grad():
            reference = bench.reference.logp(questions, answers.ids, answers.mask, spec.temperature)
        first: tuple[Tensor, Terms] | None = None

        def terms() -> tuple[Tensor, Terms]:
            logp = policy.logp(questions, answers.ids, answers.mask, spec.temperature)
            old = logp.detach() if first is None else first[0]
            return old, grpo_terms(
                logp, old, reference, advantage, answers.mask,
                clip_low=spec.clip_low, clip_high=spec.clip_high, kl_weight=spec.kl_weight,
            )  # fmt: skip

        for _ in range(spec.updates):
            last = terms()
            first = first or last
            last[1].loss.backward()
            self._update(optimizer)
        assert first
        before = float(-first[1].loss.detach())

        def objective() -> tuple[float, float]:
            with torch.no_grad():
                return before, float(-terms()[1].loss)

        outcome = PolicyStepFeedback(responses, rewards, weights, fused, objective, self._validated)
        self.fuser_state = own(self.fuser.feedback(self.fuser_state, outcome))
        log.add(
            {
                "policy/loss": -before,
                "policy/reward": float(fused[fused.isfinite()].mean()),
                "policy/gold": float(bench.gold.score(responses).mean()),
                "policy/kl": float(first[1].kl),
                "policy/clipped": float(last[1].clipped),
                "policy/unparsed": 1 - float(answers.ended.float().mean()),
                "policy/tokens": float(answers.mask.sum(1).float().mean()),
            }
        )

    def _update(self, optimizer: torch.optim.AdamW) -> None:
        (flat,) = optimizer.param_groups[0]["params"]
        flat.grad = self.bench.policy.gradient()
        if self.spec.grad_norm is not None:
            nn.utils.clip_grad_norm_([flat], self.spec.grad_norm)
        optimizer.step()

    def _picked(self, step: int) -> list[int]:
        """Queries in a new order each pass over them."""
        count, each = len(self.bench.data.queries), self.queries
        turn, place = divmod(step - 1, count // each)
        order = numpy_stream(self.seed, "queries", turn).permutation(count)
        return [int(i) for i in order[place * each : (place + 1) * each]]

    def _read(self, questions: Questions, answers: Answers, said: list[str]) -> TokenizedResponses:
        """What the policy wrote, as the sources get it; an answer that never ended is scored as far as it is,
        and is no right one."""
        rows = [
            [*prompt, *(token for token, real in zip(ids, mask, strict=True) if real)]
            for prompt, ids, mask in zip(
                questions.prompts, answers.ids.tolist(), answers.mask.tolist(), strict=True
            )
        ]
        texts = [text or "" for text in self.bench.policy.texts(answers)]
        words = list(zip(said, texts, strict=True))
        bench = self.bench
        return TokenizedResponses.read(
            bench.llm, bench.loaded.features, questions.images.tolist(), rows, words
        )

    def _validated(self) -> float:
        """The share of the server's comparisons' questions that the policy now answers rightly."""
        bench, better = self.bench, self.bench.comparisons.better
        said = [prompt for prompt, _ in better.words]
        questions = Questions(better.images, bench.llm.prompt_ids(said))
        answers = bench.policy.sample(questions, 1, limit=self.spec.max_tokens, temperature=0.0, stream=None)
        return float(bench.gold.score(self._read(questions, answers, said).everything).mean())

    def _started(self, clients: Any, costs: Costs, optimizer: torch.optim.AdamW) -> RoundEntry:
        """Round 0: the untouched start, and what was fitted before it."""
        entry = RoundEntry(round=0, digest=digest(self._models()), costs=costs)
        if self._sources:
            routing = self._routing.measures(self.fuser, self.fuser_state) if self._routing else {}
            first = {name: measure.value for name, measure in routing.items()}
            told = {**self.fuser.diagnostics(self.fuser_state), "reward_models": clients, "routing": first}
            entry = entry.model_copy(update={"diagnostics": plain(told)})
        self._keep(optimizer)
        return self._evaluation.measured(entry, self._models())

    def _ended(
        self, number: int, channel: RewardChannel, log: StepLog, seconds: float, optimizer: torch.optim.AdamW
    ) -> RoundEntry:
        cohort = channel.cohort
        costs, left_out, asked = channel.closed(self.spec.steps)
        server = Costs(server_seconds=seconds - costs.client_seconds)
        byzantine = self.fault_model.byzantine
        entry = RoundEntry(
            round=number,
            cohort=cohort,
            left_out=left_out,
            attackers=sorted(byzantine & set(cohort)),
            digest=digest(self._models()),
            costs=costs + server,
            loss=log.mean("policy/loss"),
            diagnostics=plain(
                {**self.fuser.diagnostics(self.fuser_state), "asked": asked} if log.values else {}
            ),
        )
        self._keep(optimizer)
        measured = self._evaluation.measured(entry, self._models())
        kept, undefined = defined(log.measures())
        return measured.model_copy(
            update={
                "metrics": measured.metrics | kept,
                "undefined": sorted({*measured.undefined, *undefined}),
            }
        )

    def _models(self) -> Tensor:
        """[1, P]; a copy, since an evaluation loads what it measures into the policy."""
        return self.bench.policy.flat[None].clone()

    def _optimizer(self, state: State) -> torch.optim.AdamW:
        """AdamW over the policy as one vector, with the moments of ``state`` if it has any."""
        flat = nn.Parameter(self.bench.policy.flat)
        optimizer = torch.optim.AdamW([flat], lr=self.spec.lr, weight_decay=self.spec.weight_decay)
        if "exp_avg" in state:
            optimizer.state[flat] = {name: state[name].clone() for name in MOMENTS}
            optimizer.state[flat]["step"] = state["step"].cpu()  # where AdamW keeps it on every device
        return optimizer

    def _keep(self, optimizer: torch.optim.AdamW) -> None:
        """Note where the run stands."""
        (flat,) = optimizer.param_groups[0]["params"]
        moments = {name: optimizer.state[flat][name] for name in MOMENTS if flat in optimizer.state}
        fused = {f"{FUSER}{name}": tensor for name, tensor in self.fuser_state.items()}
        self.state = own({"policy": self.bench.policy.flat, **moments, **fused})


class StepLog:
    """Numbers of a round's steps."""

    def __init__(self) -> None:
        self.values: dict[str, list[float]] = defaultdict(list)

    def add(self, found: Mapping[str, float]) -> None:
        for name, value in found.items():
            self.values[name].append(value)

    def last(self) -> dict[str, float]:
        return {name: values[-1] for name, values in self.values.items()}

    def mean(self, name: str) -> float | None:
        return sum(self.values[name]) / len(self.values[name]) if name in self.values else None

    def measures(self) -> dict[str, Measure]:
        """Means over the steps, each step a group of its own."""
        return {
            name: Measure(**mean(values).measure([str(i) for i in range(len(values))], *UNITS[name]))
            for name, values in self.values.items()
            if name in UNITS
        }


UNITS = {
    "policy/reward": ("reward", "neither"),
    "policy/gold": ("share", "higher"),
    "policy/kl": ("nats/token", "neither"),
    "policy/clipped": ("share", "neither"),
    "policy/unparsed": ("share", "lower"),
    "policy/tokens": ("tokens", "neither"),
}
