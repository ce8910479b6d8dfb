"""A run of the alignment track: prepare what all its runs share, then rounds with evaluations."""

from __future__ import annotations

import math
import time
from collections import ChainMap
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import reduce
from typing import Any

import numpy as np
import torch
from torch import Tensor

from fedbench.catalog import Catalog
from fedbench.data.features import FeatureCache, cache_folder
from fedbench.data.flips import flipped
from fedbench.data.items import AlignmentData
from fedbench.data.loading import load_data, load_partition
from fedbench.data.partition import Partition
from fedbench.data.tokens import TokenTable
from fedbench.errors import FedbenchError, UsageError
from fedbench.evaluation.evaluator import Evaluator, Rows
from fedbench.federation.checkpoint import Checkpoint
from fedbench.federation.clients import Kept, fresh
from fedbench.federation.executors import Executor, ExecutorName, make_executor
from fedbench.federation.local import Tick
from fedbench.federation.loop import evaluated, federate, plan
from fedbench.federation.sampling import cohort
from fedbench.federation.updates import Updates
from fedbench.measures import Costs, Measure
from fedbench.methods import Aggregator, Context, Shards, State
from fedbench.models.backbone import Backbone
from fedbench.models.language import LanguageModel
from fedbench.models.projector import Projector
from fedbench.params import digest, own
from fedbench.results.record import DataInfo, RoundEntry, Spread
from fedbench.rng import derive, torch_stream
from fedbench.scenario import Scenario
from fedbench.specs import MetricSpec
from fedbench.tracks.task import AlignmentTask

ENCODE_BATCH = 256


@dataclass(frozen=True)
class Bench:
    """What every method and seed of a scenario shares; one lives per process and scenario."""

    scenario: Scenario
    data: AlignmentData
    partition: Partition
    backbone: Backbone
    task: AlignmentTask
    evaluator: Evaluator
    shards: Shards

    @property
    def info(self) -> DataInfo:
        return DataInfo(
            name=self.data.name,
            fingerprint=self.data.fingerprint,
            backbone=self.backbone.name,
            backbone_fingerprint=self.backbone.fingerprint,
            partition=self.scenario.partition.name,
            partition_fingerprint=self.partition.fingerprint,
            client_examples=[len(shard) for shard in self.shards],
            parameters=self.task.space.size,
        )


def prepare(scenario: Scenario, catalog: Catalog, device: torch.device, say: Callable[[str], None]) -> Bench:
    """Load and check everything the scenario names; encode its images if the cache has not got them."""
    metrics = [catalog.metrics[name] for name in scenario.evaluation.metrics]
    backbone: Backbone = catalog.make(scenario, "backbone")
    scenario.check_pin("backbone", backbone.fingerprint)
    data = load_data(scenario, catalog)
    if not isinstance(data, AlignmentData):
        raise UsageError(f"scenario {scenario.name!r}: data {data.name!r} has no answers to learn")
    _check_evaluation(scenario, data, [entry.spec for entry in metrics])
    partition = load_partition(scenario, catalog, data)
    backbone.freeze(device)
    llm = LanguageModel(backbone)

    def encode() -> np.ndarray:
        say(f"encoding {len(data.images)} images with {backbone.name} (once; cached in {cache_folder()})")
        starts = range(0, len(data.images), ENCODE_BATCH)
        parts = [
            backbone.encode([data.images[i] for i in range(s, min(s + ENCODE_BATCH, len(data.images)))])
            for s in starts
        ]
        return torch.cat(parts).numpy()

    stored = FeatureCache.default().get(backbone.encoder, data.image_fingerprint, encode)
    features = torch.from_numpy(stored).to(device)
    projector = Projector(features.shape[-1], scenario.training.hidden, backbone.width)
    pairs = data.pairs
    if scenario.faults and scenario.faults.attack == "label-flip":
        pairs += flipped(pairs)
    task = AlignmentTask(llm, projector, features, TokenTable.build(pairs, llm))
    evaluator = Evaluator(llm, task.project, data.suites, metrics, data.units.tolist(), partition)
    return Bench(scenario, data, partition, backbone, task, evaluator, partition.shards(data))


def _check_evaluation(scenario: Scenario, data: AlignmentData, metrics: Sequence[MetricSpec]) -> None:
    """Every suite is in the data and has a metric, and the primary measure is one of theirs."""
    spec = scenario.evaluation
    values: dict[str, list[str]] = {}
    for metric in metrics:
        values.setdefault(metric.form, []).extend(metric.values)
    for key in (*spec.each_round, *spec.final):
        if key not in data.suites:
            raise UsageError(
                f"scenario {scenario.name!r} evaluates {key!r}, which data {data.name!r} does not have",
                fix=f"there are: {', '.join(sorted(data.suites))}",
            )
        if data.suites[key].form not in values:
            raise UsageError(
                f"scenario {scenario.name!r} evaluates {key!r}, but none of its metrics is for the form"
                f" {data.suites[key].form!r}"
            )
    suite, _, value = spec.primary.rpartition("/")
    known = values[data.suites[suite].form]
    if value not in known:
        raise UsageError(
            f"scenario {scenario.name!r}: there is no primary metric {spec.primary!r}",
            fix=f"{suite} has: {', '.join(known)}",
        )


@dataclass
class AlignmentRun:
    """One method with one seed on a bench, round by round."""

    bench: Bench
    aggregator: Aggregator
    seed: int
    executor_name: ExecutorName

    def __post_init__(self) -> None:
        self.shards = self.aggregator.population(self.bench.shards)
        self.federation = self.bench.scenario.federation
        self.state: State = {}
        self.kept: Kept = {}
        self.late: Updates = {}
        self._last: RoundEntry | None = None
        self._known: dict[tuple[str, str], Rows] = {}  # suite, model's digest: of the round before

    @property
    def examples(self) -> int:
        """Examples that the whole run trains on, for a progress bar: all of everyone who takes part."""
        fed, clients = self.federation, len(self.shards)
        taking_part = {k for r in range(fed.rounds) for k in cohort(self.seed, r + 1, clients, fed.cohort)}
        return sum(len(self.shards[client]) for client in taking_part)

    def executor(self, saved: Mapping[str, object] | None) -> Executor:
        """The executor; a resumed run keeps the one it began with, so that its bits stay the same."""
        if saved:
            return Executor(str(saved["name"]), int(str(saved["chunk"])))
        scenario = self.bench.scenario
        size = self.federation.cohort
        clients = cohort(self.seed, 1, len(self.shards), size)
        if not clients:
            return Executor("serial", 1)
        work = plan(self.shards, clients, 1, self.federation.rounds, scenario.training, self.seed, size)
        return make_executor(
            self.executor_name, self.bench.task, work, scenario.training, cache_folder() / "executors"
        )

    def rounds(self, executor: Executor, resume: Checkpoint | None, tick: Tick) -> Iterator[RoundEntry]:
        """Round 0 (the untouched start), then every round after ``resume``; ``self.state`` follows."""
        bench, scenario = self.bench, self.bench.scenario
        if resume is None:
            params = bench.task.projector.init(torch_stream(self.seed, "init")).to(bench.task.device)
            context = Context(bench.task.space, len(self.shards), self.federation.rounds)
            self.state = own(self.aggregator.init(params, context))
            self.kept = fresh(self.aggregator.keep(params), len(self.shards))
            begin = time.perf_counter()
            entry = RoundEntry(round=0, digest=digest(self._evaluated()))
            yield self._measured(entry, begin)
            spent = Costs()
        else:
            self.state, self.kept, self.late = resume.state, resume.kept, resume.late
            spent = reduce(Costs.__add__, (RoundEntry.model_validate(e).costs for e in resume.entries))
        for done in federate(
            bench.task,
            self.aggregator,
            self.state,
            self.shards,
            self.federation,
            scenario.training,
            executor,
            seed=self.seed,
            after=resume.round if resume else 0,
            kept=self.kept,
            late=self.late,
            spent=spent,
            budget=scenario.budget,
            faults=scenario.faults,
            twins=len(bench.data.pairs),
            tick=tick,
        ):
            self.state, self.kept, self.late = done.state, done.kept, done.late
            begin = time.perf_counter()
            entry = RoundEntry(
                round=done.number,
                cohort=list(done.cohort),
                left_out={str(client): why for client, why in sorted(done.left_out.items())},
                came_late=list(done.came_late),
                attackers=list(done.attackers),
                loss=done.loss,
                digest=done.digest,
                costs=done.costs,
                diagnostics=_plain(done.diagnostics),
            )
            yield self._measured(entry, begin)

    def checkpoint(
        self,
        run_id: str,
        round: int,
        entries: list[dict[str, Any]],
        executor: dict[str, Any],
        started: str,
        seconds: float,
    ) -> Checkpoint:
        """Where the run stands after ``round``."""
        return Checkpoint(
            run_id, round, self.state, self.kept, self.late, entries, executor, started, seconds
        )

    def final(self) -> tuple[dict[str, Measure], dict[str, dict[str, Measure]]]:
        """Every final suite, and each control on the suites of every round."""
        spec, evaluator = self.bench.scenario.evaluation, self.bench.evaluator
        models = self._evaluated()
        last = self._last.metrics if self._last is not None else {}
        found: dict[str, Measure] = {}
        for key in spec.final:
            # The last round has measured this very model on its suites.
            known = {name: measure for name, measure in last.items() if name.startswith(f"{key}/")}
            found |= known or evaluator.measure(self._rows(models, key), key)
        controls: dict[str, dict[str, Measure]] = {}
        for control in spec.controls:
            seed = derive(self.seed, "control", control)
            shuffled = {key: self._rows(models, key, shuffle=seed) for key in spec.each_round}
            measured = [evaluator.measure(rows, key) for key, rows in shuffled.items()]
            controls[control] = _defined(dict(ChainMap(*measured)))[0]
        return _defined(found)[0], controls

    def _evaluated(self) -> Tensor:
        return evaluated(self.aggregator, self.state, len(self.shards))

    def _measured(self, entry: RoundEntry, begin: float) -> RoundEntry:
        """The entry with its round's measures; personalised models are measured together.

        Models that did not change are not measured again.
        """
        if self._last is not None and self._last.digest == entry.digest:
            same = ("metrics", "undefined", "clients")
            return entry.model_copy(update={name: getattr(self._last, name) for name in same})
        spec, evaluator = self.bench.scenario.evaluation, self.bench.evaluator
        models = self._evaluated()
        primary_suite = spec.primary.rpartition("/")[0]
        metrics: dict[str, Measure] = {}
        clients: dict[str, Measure] = {}
        digests = [digest(model) for model in models]
        known, self._known = self._known, {}
        for key in spec.each_round:
            per_model = []
            for name, model in zip(digests, models, strict=True):
                rows = known.get((key, name)) or evaluator.rows(model, key)
                self._known[key, name] = rows
                per_model.append(rows)
            metrics |= evaluator.measure(_joined(per_model), key)
            if key == primary_suite:
                clients = _defined(self._by_client(per_model, spec.primary))[0]
        kept, undefined = _defined(metrics)
        self._last = entry.model_copy(
            update={
                "metrics": kept,
                "undefined": undefined,
                "clients": clients,
                "costs": entry.costs + Costs(evaluation_seconds=time.perf_counter() - begin),
            }
        )
        return self._last

    def _by_client(self, per_model: Sequence[Rows], primary: str) -> dict[str, Measure]:
        """Each client's held-out items, under its own model if it has one."""
        found = [self.bench.evaluator.by_client(rows, primary) for rows in per_model]
        own = range(len(found)) if self.aggregator.personalised else [0] * self.federation.clients
        return {str(k): found[model][k] for k, model in enumerate(own) if k in found[model]}

    def _rows(self, models: Tensor, key: str, shuffle: int | None = None) -> Rows:
        return _joined([self.bench.evaluator.rows(model, key, shuffle=shuffle) for model in models])


def _plain(value: Any, name: str = "diagnostics") -> Any:
    """What a method says of itself as JSON values: tensors and arrays as lists, NaN and infinity as None."""
    if isinstance(value, Tensor | np.ndarray | np.generic):
        value = value.tolist()
    if isinstance(value, Mapping):
        return {str(key): _plain(inner, f"{name}.{key}") for key, inner in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(inner, name) for inner in value]
    if isinstance(value, float) and not math.isfinite(value):
        return None
    if value is None or isinstance(value, bool | int | float | str):
        return value
    raise FedbenchError(f"the method's {name} is a {type(value).__name__}, not numbers or text")


def _joined(per_model: Sequence[Rows]) -> Rows:
    """Rows of several models under each other: measured together, items × models of them."""
    return {name: [value for rows in per_model for value in rows[name]] for name in per_model[0]}


def _defined(measures: Mapping[str, Measure]) -> tuple[dict[str, Measure], list[str]]:
    """The finite measures, and the names of the others (NaN is not a number in a record)."""
    kept = {
        name: measure if measure.se is None or math.isfinite(measure.se) else replace(measure, se=None)
        for name, measure in measures.items()
        if math.isfinite(measure.value)
    }
    return kept, sorted(set(measures) - set(kept))


def spread(clients: Mapping[str, Measure]) -> Spread | None:
    """Mean, worst and 10th percentile (from the bad end) of the clients' primary measures."""
    values = np.array([measure.value for measure in clients.values()])
    if not len(values):
        return None
    lower = any(measure.better == "lower" for measure in clients.values())
    worst, p10 = (values.max(), 90) if lower else (values.min(), 10)
    return Spread(mean=float(values.mean()), worst=float(worst), p10=float(np.percentile(values, p10)))
