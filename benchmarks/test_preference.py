"""A policy step beside TRL's: the same model, questions, group, answers' lengths and updates. ``make bench``.

``grpo_step.py`` takes the two in turn and says where the time goes.
"""

import pytest
from grpo_step import bench_and_run, ours, trl

GROUP = "policy step: 8 questions, 5 answers each"


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    return bench_and_run(tmp_path_factory.mktemp("runs"))


@pytest.fixture(scope="module")
def step(run):
    return ours(run[1])


@pytest.mark.benchmark(group=GROUP)
def test_ours(benchmark, step):
    benchmark.extra_info["tokens"] = sum(benchmark.pedantic(step, rounds=10, warmup_rounds=3))


@pytest.mark.filterwarnings("ignore")
@pytest.mark.benchmark(group=GROUP)
def test_trl(benchmark, run, step, tmp_path):
    lengths = step()
    _, theirs = trl(*run, tmp_path)
    benchmark.pedantic(lambda: theirs(lengths), rounds=10, warmup_rounds=3)
    benchmark.extra_info["tokens"] = sum(lengths)
