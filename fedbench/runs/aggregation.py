"""A run in which parameters travel: rounds of the one round loop, each of them measured."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Protocol

from torch import Tensor

from fedbench.api.aggregator import Aggregator, Shards
from fedbench.api.scenario import Scenario, Training
from fedbench.evaluation.evaluator import Evaluator
from fedbench.federation.executors import AskedExecutor, Executor, make_executor
from fedbench.federation.ledger import bill_of
from fedbench.federation.loop import Round, federate
from fedbench.federation.plan import plan
from fedbench.federation.reparametrised import reparametrised
from fedbench.federation.run_state import RunState
from fedbench.federation.schedule import NO_FAULTS, cohort, turns
from fedbench.federation.setup import FederationSetup
from fedbench.federation.task import Task
from fedbench.params import digest
from fedbench.results.records import Contract, RoundEntry
from fedbench.runs.diagnostics import plain
from fedbench.runs.evaluation import FinalMeasures, RunEvaluator
from fedbench.runs.protocol import MeasuredRound, ProgressCallbacks


class AggregationProblem(Protocol):
    """What an aggregation run trains and how it is measured."""

    @property
    def scenario(self) -> Scenario:
        """The scenario that is run."""
        ...

    @property
    def task(self) -> Task:
        """The trainable parameters and their loss."""
        ...

    @property
    def training(self) -> Training:
        """The clients' optimiser and batches."""
        ...

    @property
    def shards(self) -> Shards:
        """Each client's training examples."""
        ...

    @property
    def label_flip_offset(self) -> int:
        """Added to an example's index, the index of its wrongly labelled copy."""
        ...

    @property
    def evaluator(self) -> Evaluator:
        """Measures models on the scenario's suites."""
        ...

    @property
    def baseline_params(self) -> Tensor | None:
        """The parameters [P] that final answers are compared with; None if they are not compared."""
        ...

    def init(self, seed: int) -> Tensor:
        """The first global parameters [P]."""
        ...

    def save(self, models: Tensor, folder: Path) -> None:
        """Write the models [M, P] that a run ended with."""
        ...


class AggregationRun:
    """One aggregator with one seed (a :class:`fedbench.runs.protocol.Run`)."""

    def __init__(
        self, problem: AggregationProblem, aggregator: Aggregator, seed: int, executor: AskedExecutor
    ) -> None:
        scenario = problem.scenario
        self.problem, self.asked = problem, executor
        start = problem.init(seed).to(problem.task.device)
        task, self._start = reparametrised(problem.task, aggregator, start, seed)
        shards = aggregator.population(problem.shards)
        ranks = scenario.training.lora.ranks if scenario.training.lora else ()
        self._moves_base = type(aggregator).base_update is not Aggregator.base_update
        self.setup = FederationSetup(
            task=task,
            aggregator=aggregator,
            shards=shards,
            federation=scenario.federation,
            training=problem.training,
            seed=seed,
            budget=scenario.budget,
            faults=scenario.faults or NO_FAULTS,
            label_flip_offset=problem.label_flip_offset,
            client_sizes=[len(shard) for shard in problem.shards],
            ranks=ranks if len(shards) == len(ranks) else (),
        )
        self._evaluation = RunEvaluator(
            spec=scenario.evaluation,
            evaluator=problem.evaluator,
            seed=seed,
            clients=scenario.federation.clients,
            baseline_params=problem.baseline_params,
        )

    @property
    def examples(self) -> int:
        """Examples that are trained on, by every client that takes part in at least one round."""
        setup, fed, in_rounds = self.setup, self.setup.federation, 0
        for client, shard in enumerate(setup.shards):
            if count := len(turns(setup.seed, client, setup.clients, fed.cohort, fed.rounds)):
                in_rounds += setup.pace.sizes(client, len(shard), count).before(count)
        at_end = sum(map(len, setup.shards))
        shares, end_shares = (sum(p.share for p in phases) for phases in (setup.phases, setup.end_phases))
        return round(in_rounds * shares + at_end * end_shares)

    @property
    def contract(self) -> Contract:
        """What the aggregator declared to travel, by numbers."""
        bill = bill_of(self.setup)
        return Contract(
            needs=self.setup.aggregator.needs,
            down=dict(bill.down),
            up=dict(bill.up),
            turns=list(bill.turns),
            down_by_rank={str(rank): numbers for rank, numbers in bill.down_by_rank.items()},
            up_by_rank={str(rank): numbers for rank, numbers in bill.up_by_rank.items()},
            trained=self.setup.task.space.size if self.setup.task is not self.problem.task else 0,
            base=self.setup.task.bases.size if self._moves_base else 0,
            personalised=self.setup.personalised and self.setup.clients > 1,
            shares=[phase.share for phase in self.setup.phases],
            shares_at_end=[phase.share for phase in self.setup.end_phases],
        )

    def executor(self, saved: Mapping[str, object] | None) -> Executor:
        """The saved executor, or one chosen for cohorts like the first."""
        if saved:
            return Executor.as_saved(saved)
        setup = self.setup
        clients = cohort(setup.seed, 1, setup.clients, setup.federation.cohort)
        work = plan(setup, clients, 1)
        return make_executor(self.asked, setup.task, work, setup.training)

    def rounds(
        self, executor: Executor, resume: RunState | None, progress: ProgressCallbacks
    ) -> Iterator[MeasuredRound]:
        """Round 0 (the untouched start) and all others, or those after ``resume``."""
        state = resume
        if state is None:
            state = self.setup.initial(self._start)
            models = self.setup.models(state)
            yield self._measured(RoundEntry(round=0, digest=digest(models)), state)
        for done in federate(self.setup, executor, state, tick=progress.tick):
            yield self._measured(_entry(done), done.after)

    def final(self, state: RunState) -> FinalMeasures:
        """Measure the models of the run that ended in ``state``."""
        return self._evaluation.final(self.setup.models(state))

    def save(self, state: RunState, folder: Path) -> None:
        """Write the models of the run that ended in ``state``."""
        self.problem.save(self.setup.models(state), folder)

    def _measured(self, entry: RoundEntry, state: RunState) -> MeasuredRound:
        measured = self._evaluation.measured(entry, self.setup.models(state))
        return MeasuredRound(entry=measured, state=state)


def _entry(done: Round) -> RoundEntry:
    """Make the record's entry of a finished round, without measures."""
    return RoundEntry(
        round=done.after.round,
        cohort=list(done.cohort),
        left_out={str(client): why.value for client, why in sorted(done.left_out.items())},
        came_late=list(done.came_late),
        attackers=list(done.attackers),
        loss=done.loss,
        digest=done.digest,
        costs=done.costs,
        diagnostics=plain(done.diagnostics),
        moved=done.moved,
    )
