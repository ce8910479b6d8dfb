"""Executors: what each name stands for, and that `auto` depends on nothing but the scenario's numbers."""

from dataclasses import asdict, replace
from itertools import count
from typing import get_args

import pytest

from fedbench.api.aggregator import Aggregator
from fedbench.api.scenario import Training
from fedbench.errors import UsageError
from fedbench.federation import executors
from fedbench.federation.executor_choice import (
    EXAMPLES_IN_A_PASS,
    EXECUTORS,
    NUMBERS_IN_A_PASS,
    ChosenBy,
    chunk_by_rule,
)
from fedbench.federation.executors import Executor, asked_executor, make_executor
from fedbench.federation.plan import plan
from fedbench.testing.toy import ToyTask, toy_setup

TRAINING = Training(optimizer="adamw", lr=0.01, batch_size=4, schedule="constant")
NONE = {"workers": 0}
BUILT_IN = {"clients": 10, "batch_size": 16, "parameters": 100_000}
"""As many as the largest cohort of a built-in scenario, with its batches and parameters."""


@pytest.fixture
def make(monkeypatch):
    """``make(asked, clients, ticks)``: an executor on a machine whose clock reads ``ticks``."""
    task = ToyTask()

    def made(asked, clients=3, ticks=None):
        work = plan(
            toy_setup(Aggregator(), shards=task.shards(clients), rounds=1, training=TRAINING),
            range(clients),
            1,
        )
        if ticks is not None:
            monkeypatch.setattr(executors.time, "perf_counter", iter(ticks).__next__)
        return make_executor(asked, task, work, TRAINING)

    return made


def test_every_name_makes_an_executor_that_says_how_it_was_chosen(make):
    assert asdict(make("serial")) == {**NONE, "name": "serial", "chunk": 1, "chosen": "name"}
    assert asdict(make("batched")) == {**NONE, "name": "batched", "chunk": 3, "chosen": "name"}
    assert asdict(make("auto")) == {**NONE, "name": "batched", "chunk": 3, "chosen": "rule"}
    assert make("fastest").chosen == "measurement"


@pytest.mark.parametrize("asked", EXECUTORS)
def test_one_client_or_none_is_trained_serially(make, asked):
    assert (make(asked, clients=1).name, make(asked, clients=1).chunk) == ("serial", 1)
    executor = make_executor(asked, ToyTask(), [], TRAINING)
    assert (executor.name, executor.chunk) == ("serial", 1)


def test_auto_reads_no_clock(make):
    """A clock that can't be read is one whose reading can't matter."""
    assert make("auto", ticks=()) == make("auto", ticks=count())


def test_fastest_takes_what_the_clock_says_and_remembers_nothing(make):
    """Serial is tried twice, then batched: four begins and ends, of which each pair's difference counts."""
    batched_is_twice_as_fast = [0, 2, 2, 4, 4, 5, 5, 6]
    batched_is_no_faster = [0, 1, 1, 2, 2, 3, 3, 4]
    assert make("fastest", ticks=batched_is_twice_as_fast).chunk == 3
    assert make("fastest", ticks=batched_is_no_faster).chunk == 1
    assert make("fastest", ticks=batched_is_twice_as_fast).chunk == 3


def test_an_executor_that_is_given_is_copied(make):
    """Its chunk may shrink; that of the record or the runner it came from does not."""
    given = Executor(name="batched", chunk=2)
    made = make(given)
    made.chunk = 1
    assert given == replace(made, chunk=2)


def test_a_saved_executor_is_read_as_it_was():
    executor = Executor(name="batched", chunk=7, chosen="rule")
    assert Executor.as_saved(asdict(executor)) == executor


@pytest.mark.parametrize("device_type", ["cpu", "cuda"])
def test_the_rule_takes_a_built_in_cohort_at_once(device_type):
    """Committed records were made so; running one's command again gives its bits."""
    assert chunk_by_rule(**BUILT_IN, device_type=device_type) == 10


@pytest.mark.parametrize("device_type", ["cpu", "cuda", "another"])
def test_the_rule_bounds_what_one_pass_takes(device_type):
    examples = EXAMPLES_IN_A_PASS.get(device_type, EXAMPLES_IN_A_PASS["cuda"])
    numbers = NUMBERS_IN_A_PASS.get(device_type, NUMBERS_IN_A_PASS["cuda"])

    def chunk(clients, batch_size, parameters):
        return chunk_by_rule(
            clients=clients, batch_size=batch_size, parameters=parameters, device_type=device_type
        )

    assert chunk(10**6, 16, 1) == examples // 16
    assert chunk(10**6, 1, numbers // 3) == 3
    assert chunk(10, examples + 1, 1) == chunk(10, 1, numbers + 1) == 1
    assert chunk(0, 16, 1) == 1


@pytest.mark.parametrize("chunk", [1, 2, 7])
@pytest.mark.parametrize("chosen", get_args(ChosenBy))
def test_a_recorded_command_names_the_clients_in_a_pass_whatever_chose_them(make, chunk, chosen):
    executor = Executor(name="batched" if chunk > 1 else "serial", chunk=chunk, chosen=chosen)
    again = make(asked_executor(executor.word), clients=7)
    assert (again.name, again.chunk) == (executor.name, chunk)


@pytest.mark.parametrize("clients", [1, 5])
def test_workers_are_as_many_as_were_asked_for_and_named_in_the_command(make, clients):
    executor = make(asked_executor("workers:2"), clients=clients)
    assert asdict(executor) == {"name": "workers", "chunk": 1, "chosen": "name", "workers": 2}
    assert executor.word == "workers:2"
    assert Executor.as_saved(asdict(executor)) == executor


def test_no_more_clients_are_in_a_pass_than_there_are(make):
    assert make(asked_executor("batched:9")).chunk == 3
    assert asdict(make(asked_executor("batched:9"), clients=1))["name"] == "serial"


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("quickest", "unknown executor 'quickest' — there are: auto, batched, fastest, serial"),
        ("batchd", "unknown executor 'batchd' — did you mean 'batched'?"),
        ("batched:0", "unknown executor 'batched:0' — batched:4 takes four clients in one pass"),
        ("serial:2", "unknown executor 'serial:2' — batched:4 takes four clients in one pass"),
        (
            "workers",
            "unknown executor 'workers' — batched:4 takes four clients in one pass, workers:2 trains",
        ),
        ("workers:-1", "unknown executor 'workers:-1' — batched:4 takes four clients in one pass"),
        ("", "unknown executor ''"),
    ],
)
def test_an_executor_that_is_none_is_refused(text, said):
    with pytest.raises(UsageError) as refused:
        asked_executor(text)
    assert str(refused.value).startswith(said)
