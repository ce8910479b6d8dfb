"""How much a client does in a round: passes over its whole shard, and the steps that it manages."""

import json

import numpy as np
import pytest
import torch
from conftest import mostly_slow

from fedbench.api.scenario import Budget, Federation, Training
from fedbench.catalog import Catalog
from fedbench.federation.plan import in_phases, plan
from fedbench.federation.schedule import Pace, cohort
from fedbench.jobs import plan_jobs
from fedbench.observers import Silent
from fedbench.plugins import Plugins
from fedbench.results.columns import by_column, by_round
from fedbench.results.parsing import content_id
from fedbench.results.store import read_record
from fedbench.runner import Runner, choose_device
from fedbench.testing import toy_rounds, toy_setup
from fedbench.testing.contracts import make
from fedbench.verification.ladder import verify

FEDAVG = make("fedavg")
ONE_SCHEDULE = Training(batch_size=4, lr=0.1, schedule="cosine", one_schedule=True)


def digests(**setup):
    return [done.digest for done in toy_rounds(FEDAVG, **setup)]


def examples(work):
    return [item.examples.tolist() for item in work]


def costs(method=FEDAVG, **setup):
    return [done.costs.client_examples for done in toy_rounds(method, **setup)]


def test_full_speed_is_no_speed_at_all_bit_for_bit():
    assert digests(speed=(1.0,)) == digests(speed=(1.0, 1.0, 1.0)) == digests()
    assert digests(speed=(1.0, 0.5, 1.0)) != digests()


def test_one_pass_a_round_in_one_round_is_one_pass_over_the_run_in_another_order():
    once, epoch = (plan(toy_setup(FEDAVG, rounds=1, epochs=epochs), range(3), 1) for epochs in (None, 1))
    assert [sorted(part) for part in examples(once)] == [sorted(part) for part in examples(epoch)]
    assert examples(once) != examples(epoch)
    assert [item.schedule_steps for item in once] == [item.schedule_steps for item in epoch]


def test_every_round_a_client_goes_through_its_whole_shard_in_orders_of_their_own():
    setup = toy_setup(FEDAVG, rounds=2, epochs=3)
    passes = [item.examples.reshape(3, -1) for number in (1, 2) for item in plan(setup, range(3), number)]
    for client, rounds in enumerate(zip(passes[:3], passes[3:], strict=True)):
        orders = [tuple(order) for of_round in rounds for order in of_round]
        assert {tuple(sorted(order)) for order in orders} == {tuple(setup.shards[client].tolist())}
        assert len(set(orders)) == 6
    assert costs(rounds=2, epochs=3) == [180, 180]
    assert costs(rounds=2, epochs=3, budget=Budget(examples=359)) == [180]


def test_passes_do_not_depend_on_who_else_is_called_nor_on_the_rounds_before():
    few, many = (toy_setup(FEDAVG, rounds=rounds, epochs=2) for rounds in (2, 5))
    assert examples(plan(few, [1], 2)) == examples(plan(many, [0, 1, 2], 2))[1:2]


@pytest.mark.parametrize(
    ("speed", "shard", "done"),
    [
        (1.0, 10, 10),
        (0.5, 16, 8),
        (0.5, 17, 8),
        (0.7, 10, 8),
        (0.9, 10, 10),
        (0.01, 10, 4),
        (0.01, 3, 3),
        (0.5, 0, 0),
    ],
)
def test_a_client_does_its_share_of_the_steps_to_the_nearest_and_at_least_one(speed, shard, done):
    pace = Pace(batch_size=4, epochs=None, speeds=[speed])
    assert pace.sizes(0, shard, 1).at(0) == done


def test_a_slow_client_sees_the_first_of_what_it_would_see_at_full_speed():
    for epochs in (None, 2):
        slow, full = (
            plan(toy_setup(FEDAVG, rounds=1, epochs=epochs, speed=speed), range(3), 1)
            for speed in ((0.5,), (1.0,))
        )
        for part, whole in zip(examples(slow), examples(full), strict=True):
            assert part == whole[: len(part)]
        assert sum(map(len, examples(slow))) < 0.65 * sum(map(len, examples(full)))


def test_what_a_slow_client_misses_comes_again_only_in_another_pass():
    one_pass, epochs = (toy_setup(FEDAVG, rounds=40, epochs=epochs, speed=(0.5,)) for epochs in (None, 1))

    def seen(setup):
        return {one for number in range(1, 41) for one in examples(plan(setup, [2], number))[0]}

    assert seen(epochs) == set(epochs.shards[2].tolist())
    few_rounds = toy_setup(FEDAVG, rounds=2, speed=(0.5,))
    twice = [one for number in (1, 2) for one in examples(plan(few_rounds, [2], number))[0]]
    assert len(set(twice)) == len(twice) < len(few_rounds.shards[2])
    assert seen(one_pass) <= set(one_pass.shards[2].tolist())


@pytest.mark.parametrize("epochs", [None, 2])
@pytest.mark.parametrize("size", [None, 2])
def test_a_schedule_over_the_run_counts_the_steps_that_are_done(epochs, size):
    setup = toy_setup(
        FEDAVG, rounds=5, epochs=epochs, cohort=size, speed=(1.0, 0.6, 0.3), training=ONE_SCHEDULE
    )
    done, said = dict.fromkeys(range(3), 0), {}
    for number in range(1, 6):
        for item in plan(setup, called(setup, number), number):
            assert item.first_step == done[item.client]
            done[item.client] += -(-len(item.examples) // 4)
            said.setdefault(item.client, set()).add(item.schedule_steps)
    assert said == {client: {steps} for client, steps in done.items()}


def called(setup, number):
    return cohort(setup.seed, number, setup.clients, setup.federation.cohort)


def test_phases_divide_what_a_client_manages():
    """Ditto trains twice: half as fast, it sees half of both."""
    assert costs(make("ditto"), rounds=2, speed=(0.5,), shards=(np.arange(32),)) == [16, 16]
    setup = toy_setup(make("ditto"), rounds=2, speed=(0.5,), shards=(np.arange(32),), training=ONE_SCHEDULE)
    parts = in_phases(setup, plan(setup, [0], 2), setup.phases, 2)
    assert [(part.work[0].first_step, part.work[0].schedule_steps) for part in parts] == [(2, 4), (2, 4)]


def test_weights_are_of_the_examples_that_were_seen():
    """The slow one of two equal clients counts as much as it has done."""
    shards = (np.arange(0, 16), np.arange(16, 32))
    alone = [
        toy_rounds(FEDAVG, rounds=1, shards=[shard], speed=(speed,))[0].after.state["params"]
        for shard, speed in zip(shards, (1.0, 0.25), strict=True)
    ]
    setup = toy_setup(FEDAVG, rounds=1, shards=shards, speed=(1.0, 0.25))
    assert [len(part) for part in examples(plan(setup, [0, 1], 1))] == [16, 4]
    (together,) = toy_rounds(FEDAVG, rounds=1, shards=shards, speed=(1.0, 0.25))
    assert together.costs.client_examples == 20
    first = toy_rounds(FEDAVG, rounds=1, shards=shards[:1])[0].after.state["params"]
    assert (alone[0] == first).all()


@pytest.mark.parametrize(
    ("cohort", "epochs", "speed", "share"),
    [
        (None, None, (1.0,), 1.0),
        (None, 2, (0.5,), 0.5),
        (None, None, (1.0, 0.25), 0.5),
        (1, 3, (1.0,), 0.5),
        (1, None, (1.0,), 1.0),
    ],
)
def test_one_place_with_all_data_goes_as_far_as_the_clients_together(cohort, epochs, speed, share):
    federation = Federation(clients=2, rounds=4, cohort=cohort, epochs=epochs, speed=speed)
    (together,) = Pace.of(federation, 4, [10, 20], 1).speeds
    assert together == pytest.approx(share)


@pytest.mark.parametrize("epochs", [None, 2])
@pytest.mark.parametrize("speed", [(1.0,), (0.5,), (1.0, 0.5, 0.75)])
def test_the_ceiling_sees_as_many_examples_as_the_clients(epochs, speed):
    """To a batch in each round."""
    clients, pool = (
        sum(costs(make(method), clients=3, rounds=3, epochs=epochs, speed=speed))
        for method in ("fedavg", "centralized")
    )
    assert abs(clients - pool) <= 3 * 4 * 3 and (speed != (1.0,) or clients == pool)


@pytest.mark.parametrize("chunk", [1, 3])
def test_a_run_goes_on_as_if_it_had_not_stopped_however_many_share_a_pass(chunk):
    setup = {"rounds": 4, "epochs": 2, "speed": (1.0, 0.5, 0.25), "cohort": 2, "training": ONE_SCHEDULE}
    whole = toy_rounds(FEDAVG, **setup)
    rest = toy_rounds(FEDAVG, **setup, resume=whole[1].after, chunk=chunk)
    for done, again in zip(whole[2:], rest, strict=True):
        torch.testing.assert_close(done.after.state["params"], again.after.state["params"])
        assert chunk == 3 or done.digest == again.digest


class Announced(Silent):
    """Keeps how many examples the last run was to train on."""

    examples = 0

    def run_started(self, event, examples):
        self.examples = examples


@pytest.fixture(scope="module")
def run(tiny, tmp_path_factory):
    """``path, examples = run(method, **changes)``: the record, and the examples that were announced."""
    output = tmp_path_factory.mktemp("runs")
    watcher = Announced()
    runner = Runner(Catalog(Plugins(strict=True)), choose_device("cpu"), "serial", watcher)
    quick = {
        "evaluation.each_round": ["unseen-concept/category"],
        "evaluation.final": ["unseen-concept/category"],
        "evaluation.controls": [],
    }

    def run(method, **changes):
        (job,) = plan_jobs(
            runner.catalog, methods=[method], scenarios=["tiny"], seeds=[0], options={},
            changes=quick | changes, output=output,
        )  # fmt: skip
        return runner.run(job), watcher.examples

    return run


UNEQUAL = {"federation.epochs": 2, "federation.speed": [1.0, 0.5, 0.2], "federation.rounds": 3}


@pytest.mark.parametrize("method", mostly_slow(["fedavg", "centralized", "ditto", "fedavg-ft"], "fedavg"))
@pytest.mark.parametrize("cohort", mostly_slow([None, 2], 2))
def test_a_record_of_unequal_clients_is_computed_again_and_one_that_lies_is_found(
    run, catalog, tmp_path, method, cohort
):
    path, announced = run(method, **UNEQUAL, **({"federation.cohort": cohort} if cohort else {}))
    assert read_record(path).costs.client_examples == announced, "what the progress bar ends with"
    (verdict,) = verify([path], catalog)
    assert (verdict.level.name, verdict.problem) == ("consistent", "")
    record = json.loads(path.read_text())
    rounds = by_round(record["rounds"])
    rounds[2]["costs"]["client_examples"] += 4
    record["costs"]["client_examples"] += 4
    record["rounds"] = by_column(rounds)
    record["record_id"] = content_id(record)
    lie = tmp_path / "record.json"
    lie.write_text(json.dumps(record))
    (verdict,) = verify([lie], catalog)
    assert verdict.level.name == "valid" and "client_examples, scenario and seed give" in verdict.problem
