"""Measures after one round of training: how far clients' updates disagree before they are merged, and that
merging in the canonical space is a weighted mean."""

from __future__ import annotations

from collections.abc import Iterator
from statistics import fmean

import torch
from torch import Tensor

from fedbench.api.aggregator import Context
from fedbench.api.cohort import Cohort
from fedbench.api.options import validated
from fedbench.catalog import Catalog
from fedbench.federation.executors import Executor, no_rule
from fedbench.federation.plan import plan
from fedbench.federation.updates import cohort_of, updates_of
from fedbench.federation.weighted_mean import WeightedMean
from fedbench.rng import torch_stream
from fedbench.runner import Runner
from fedbench.runs.aggregation import AggregationRun
from fedbench.scenario_files import load_scenario
from study import EXECUTOR, Study

SEEDS = range(3)


def first_cohorts(runner: Runner, name: str) -> Iterator[Cohort]:
    """What FedAvg's clients send after round 1, for a few seeds."""
    scenario = load_scenario(runner.catalog.scenarios[name].spec.path)
    bench, clients = runner.bench(runner.catalog.resolve(scenario)), range(scenario.federation.clients)
    fedavg = WeightedMean()
    for seed in SEEDS:
        start = bench.task.projector.init(torch_stream(seed, "init")).repeat(len(clients), 1)
        setup = AggregationRun(bench, fedavg, seed, EXECUTOR).setup
        work = plan(setup, clients, 1)
        executor = Executor(EXECUTOR, len(clients))
        trained = executor.train(bench.task, start, work, no_rule, scenario.training)
        updates = updates_of(work, start, trained, setup.division)
        yield cohort_of(updates, 1, bench.task.space, lambda *names: torch_stream(0, *names))


def agreement(cohort: Cohort) -> float:
    """Mean cosine between two clients' updates: 1 if all pull the same way."""
    unit = cohort.updates / cohort.updates.norm(dim=1, keepdim=True)
    table = unit @ unit.T
    return float(table[~torch.eye(len(unit), dtype=torch.bool)].mean())


def merged(catalog: Catalog, study: Study, cohort: Cohort) -> Tensor:
    """The parameters after a study's first method has merged ``cohort``."""
    entry = catalog.methods[study.methods[0]]
    method = entry.create(validated(entry.options, study.options, entry.name))
    context = Context(cohort.space, len(cohort.clients), 1)
    state = method.aggregate(method.initial_state(cohort.start[0], context), cohort)
    params: Tensor = method.params_for(state)
    return params


def mean_agreement(runner: Runner, name: str) -> float:
    """:func:`agreement` of a scenario's first cohorts, mean over seeds."""
    return fmean(agreement(cohort) for cohort in first_cohorts(runner, name))


def identity_gap(runner: Runner, name: str) -> float:
    """The largest difference of any parameter between CSC alone and FedAvg after one merge."""
    csc = Study(methods=("fed-cmp",), options={"rwf": False, "opm": False})
    pairs = (
        (merged(runner.catalog, csc, cohort), merged(runner.catalog, Study(methods=("fedavg",)), cohort))
        for cohort in first_cohorts(runner, name)
    )
    return max(float((ours - theirs).abs().max()) for ours, theirs in pairs)
