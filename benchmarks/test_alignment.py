"""Ratios measured side by side in one run: ``make bench``. Nothing here asserts on time."""

from __future__ import annotations

import pytest
import torch

from fedbench.api.aggregator import Context
from fedbench.api.cohort import Cohort
from fedbench.federation.executors import Executor, no_rule
from fedbench.federation.local import LocalWork
from fedbench.federation.plan import plan
from fedbench.jobs import plan_jobs
from fedbench.rng import torch_stream
from fedbench.runner import Runner, choose_device
from fedbench.runs.aggregation import AggregationRun
from fedbench.testing.contracts import installed, make

STEPS = 4


@pytest.fixture(scope="module")
def bench(tmp_path_factory):
    (job,) = plan_jobs(
        installed(), methods=["fedavg"], scenarios=["emoji-ii"], seeds=[0], options={}, changes={},
        output=tmp_path_factory.mktemp("runs"),
    )  # fmt: skip
    return Runner(installed(), choose_device("auto")).bench(job.resolved)


@pytest.mark.benchmark(group="local training: 5 clients, 4 steps of 16 each")
@pytest.mark.parametrize("chunk", [1, 5], ids=["serial", "batched"])
def test_local_training(benchmark, bench, chunk):
    training = bench.scenario.training
    setup = AggregationRun(bench, make("fedavg"), 0, "serial").setup
    work = [
        LocalWork(item.client, item.examples[: STEPS * training.batch_size], 0, STEPS)
        for item in plan(setup, range(5), 1)
    ]
    start = bench.init(0).to(bench.task.device).repeat(5, 1)

    def train():
        executor = Executor("bench", chunk)
        trained = executor.train(bench.task, start, work, no_rule, training)
        return trained.params.sum().item()

    benchmark.pedantic(train, rounds=7, warmup_rounds=2)


@pytest.mark.benchmark(group="server step: 5 clients of emoji-ii's projector")
@pytest.mark.parametrize("method", ["fedavg", "fed-cmp"])
def test_server_step(benchmark, bench, method):
    space = bench.task.space
    generator = torch_stream(0, "bench")
    aggregator = make(method)

    def cohort(number: int) -> Cohort:
        start = torch.randn(space.size, generator=generator) * 0.05
        return Cohort(
            round=number,
            clients=tuple(range(5)),
            params=start + 0.01 * torch.randn(5, space.size, generator=generator),
            start=start.repeat(5, 1),
            num_examples=torch.arange(1, 6),
            steps=torch.full((5,), 3),
            sent={"modality_gap": torch.ones(5)},
            space=space,
            stream=lambda *names: torch_stream(0, *names),
        )

    first, second = cohort(1), cohort(2)
    state = aggregator.aggregate(aggregator.initial_state(first.start[0], Context(space, 5, 10)), first)
    benchmark(lambda: aggregator.aggregate(state, second))
