"""Records are run again: the same bits here, the same measures elsewhere, and forgeries come out."""

import json
from contextlib import contextmanager

import pytest
import torch

from fedbench.catalog import Catalog
from fedbench.federation import executors
from fedbench.federation.executors import asked_executor
from fedbench.jobs import plan_jobs
from fedbench.plugins import Plugins
from fedbench.replay import Replayer, hardware_class
from fedbench.results.columns import by_column, by_round
from fedbench.results.parsing import content_id
from fedbench.runner import Runner, choose_device
from fedbench.verification.ladder import Level, run_again, verify

PRIMARY = "unseen-concept/category/accuracy"


@pytest.fixture(scope="module")
def catalog(tiny):
    return Catalog(Plugins(strict=True))


@pytest.fixture(scope="module")
def replayer(catalog):
    return Replayer(catalog, rounds=1)


@pytest.fixture(scope="module")
def runs(catalog, tmp_path_factory):
    """Records of the tiny scenario, by method."""
    runner = Runner(catalog, choose_device("cpu"), "batched")
    asked = {"methods": ["fedavg", "local", "scaffold"], "scenarios": ["tiny"], "seeds": [0]}
    folder = tmp_path_factory.mktemp("runs")
    jobs = plan_jobs(catalog, **asked, options={}, changes={}, output=folder)
    return {job.method_entry.name: runner.run(job) for job in jobs}


@pytest.fixture
def forged(runs, tmp_path):
    """``path = forged(method, change)``: a copy after ``change``, sealed again."""

    def forge(method, change):
        record = json.loads(runs[method].read_text())
        record["rounds"] = by_round(record["rounds"])
        change(record)
        record["rounds"] = by_column(record["rounds"])
        path = tmp_path / "record.json"
        path.write_text(json.dumps(record | {"record_id": content_id(record)}))
        return path

    return forge


def perfect(entry):
    """A round in which everything is right, clients included: it adds up."""
    for client in entry["clients"].values():
        client.update(value=1.0, se=0.0)
    entry["metrics"][PRIMARY].update(value=1.0, se=0.0)


def forge_first(record):
    perfect(record["rounds"][1])


def forge_last(record):
    perfect(record["rounds"][-1])
    record["final"][PRIMARY].update(value=1.0, se=0.0)
    record["spread"] = {"mean": 1.0, "worst": 1.0, "p10": 1.0}


@pytest.mark.parametrize("method", ["fedavg", "local", "scaffold"])
def test_an_honest_record_is_replayed_bit_by_bit(runs, replayer, catalog, method):
    verdicts = verify([runs[method]], catalog)
    (verdict,) = run_again(verdicts, Level.replayed, replayer.replay)
    assert (verdict.level, verdict.problem) == (Level.replayed, "")


def test_what_arithmetic_can_not_tell_a_replay_does(forged, replayer, catalog):
    path = forged("fedavg", forge_first)
    (verdict,) = verify([path], catalog)
    assert (verdict.level, verdict.problem) == (Level.consistent, "")
    assert replayer.replay(path).startswith(f"round 1: {PRIMARY} is 1, a run gives 0.")


def test_what_the_first_rounds_can_not_tell_a_whole_run_does(forged, replayer, catalog):
    """A forgery of a later round is consistent, and its first round is honest."""
    path = forged("fedavg", forge_last)
    assert verify([path], catalog)[0].level == Level.consistent
    assert replayer.replay(path) == ""
    assert replayer.reproduce(path).startswith(f"round 2: {PRIMARY} is 1, a run gives 0.")


def test_an_honest_record_is_reproduced(runs, replayer):
    assert replayer.reproduce(runs["fedavg"]) == ""


def test_bytes_that_arithmetic_admits_are_counted_again(forged, replayer, catalog):
    """SCAFFOLD sends two vectors; a record that says one fits itself."""

    def halve(record):
        vector = 4 * record["data"]["parameters"]
        for entry in record["rounds"]:
            for name in ("uplink_bytes", "downlink_bytes"):
                entry["costs"][name] = vector * (entry["costs"][name] // vector // 2)
        for name in ("uplink_bytes", "downlink_bytes"):
            record["costs"][name] = sum(entry["costs"][name] for entry in record["rounds"])
        del record["contract"]  # as in a record from before methods said what travels

    path = forged("scaffold", halve)
    assert verify([path], catalog)[0].level == Level.consistent
    assert replayer.replay(path).startswith("round 1: uplink_bytes is ")


def test_elsewhere_measures_count_within_their_error_and_bits_do_not(forged, replayer):
    def moved(record):
        record["environment"]["processor"] = "another one"
        for entry in record["rounds"]:
            entry["digest"] = entry["digest"][::-1]
            entry["metrics"][PRIMARY]["value"] += entry["metrics"][PRIMARY]["se"] / 2

    assert replayer.replay(forged("fedavg", moved)) == ""

    def sure_of_nothing(record):
        moved(record)
        for entry in record["rounds"]:
            entry["metrics"][PRIMARY].update(value=0.0, se=1e6)

    said = replayer.replay(forged("fedavg", sure_of_nothing))
    assert said.startswith(f"round 0: {PRIMARY} is 0, a run gives 0."), (
        "the error is the run's, not the record's"
    )

    def of_fewer(record):
        moved(record)
        record["rounds"][0]["metrics"][PRIMARY].update(n=1)

    assert "is not of what a run measures" in replayer.replay(forged("fedavg", of_fewer))

    def both(record):
        record["environment"]["processor"] = "another one"
        forge_first(record)

    assert replayer.replay(forged("fedavg", both)).startswith(f"round 1: {PRIMARY} is 1, a run gives 0.")


def test_here_other_bits_are_other_bits(forged, replayer):
    def other(record):
        record["rounds"][1]["digest"] = "0" * 64

    said = "round 1: a run on this same hardware class gives other parameters"
    assert replayer.replay(forged("fedavg", other)) == said


def test_a_method_that_is_not_installed_is_not_fetched(forged, replayer):
    def renamed(record):
        record["method"]["name"] = "fedavgg"

    problem = replayer.replay(forged("fedavg", renamed))
    assert problem.startswith("it can't be run here: unknown method 'baselines/fedavgg'")


def test_a_method_that_breaks_is_a_verdict(runs, replayer, monkeypatch):
    """Of somebody's plugin; the other records are still to be checked."""

    def broken(*_):
        raise ZeroDivisionError("of somebody's")

    monkeypatch.setattr("fedbench_baselines.fedavg.FedAvg.aggregate", broken)
    found = replayer.replay(runs["fedavg"])
    assert found == "it can't be run here: ZeroDivisionError: of somebody's"


@pytest.mark.parametrize(
    "executor", [{}, "batched", {"name": "rm -rf"}, {"name": "batched", "chunk": 10**9}, {"name": "batched"}]
)
def test_an_executor_that_is_none_is_not_used(forged, replayer, executor):
    """The bits may differ under another executor; nothing else may. A record from before has no identity."""

    def odd(record):
        record["environment"].update(executor=executor, processor="another one", threads="many")
        record["identity"] = None

    assert replayer.replay(forged("fedavg", odd)) == ""


@pytest.mark.parametrize(
    "identity", [{"executor": "rm -rf"}, {"chunk": 10**9}, {"chunk": 0}, {"threads": 10**9}, {"threads": 0}]
)
def test_an_identity_that_can_not_be_is_not_used(forged, replayer, identity):
    def odd(record):
        record["environment"]["processor"] = "another one"
        record["identity"].update(identity)

    assert replayer.replay(forged("fedavg", odd)) == ""


@pytest.fixture
def passes(monkeypatch):
    """Clients and threads of every pass of local training."""
    seen, train = [], executors.train_clients

    def watched(task, start, work, *rest, **more):
        seen.append((len(work), torch.get_num_threads()))
        return train(task, start, work, *rest, **more)

    monkeypatch.setattr(executors, "train_clients", watched)
    return seen


@pytest.fixture
def two_threads(monkeypatch):
    """Two threads inside ``with two_threads():``, one outside, on a machine that has two."""
    monkeypatch.setattr("os.cpu_count", lambda: 2)
    before = torch.get_num_threads()
    torch.set_num_threads(1)

    @contextmanager
    def threads():
        torch.set_num_threads(2)
        yield
        torch.set_num_threads(1)

    yield threads
    torch.set_num_threads(before)


def test_a_record_is_run_again_with_its_threads_and_chunks(catalog, passes, two_threads, tmp_path):
    """By a process that would itself use one thread, after a record that was made serially."""
    with two_threads():
        path = one_run(catalog, tmp_path, "batched:2")
    made, again = passes.copy(), Replayer(catalog, rounds=1)
    assert {threads for _, threads in made} == {2} and {clients for clients, _ in made} == {2, 1}
    passes.clear()
    assert again.reproduce(one_run(catalog, tmp_path / "serial", "serial")) == ""
    assert set(passes) == {(1, 1)}
    passes.clear()
    assert again.reproduce(path) == "" and passes == made
    passes.clear()
    assert again.replay(path) == "" and passes == made[: len(passes)] != []
    assert torch.get_num_threads() == 1


def test_a_record_with_more_threads_than_are_here_is_of_another_hardware_class(forged, replayer):
    """Its bits can't be given here, so nothing is said against them."""

    def wider(record):
        record["environment"]["threads"] = 10**6
        for entry in record["rounds"]:
            entry["digest"] = entry["digest"][::-1]

    assert replayer.replay(forged("fedavg", wider)) == ""


def test_a_record_of_another_device_class_is_not_held_to_its_bits(forged, replayer):
    """Processors of one name may differ in instruction sets; a record says which it was made with."""

    def elsewhere(record):
        if record["identity"] is None:
            record["identity"] = {}
        record["identity"]["device_class"] = "GenuineIntel AVX512"
        for entry in record["rounds"]:
            entry["digest"] = entry["digest"][::-1]

    assert replayer.replay(forged("fedavg", elsewhere)) == ""


def one_run(catalog, folder, executor):
    """The record of fedavg on the tiny scenario."""
    asked = {"methods": ["fedavg"], "scenarios": ["tiny"], "seeds": [0]}
    (job,) = plan_jobs(catalog, **asked, options={}, changes={}, output=folder)
    return Runner(catalog, choose_device("cpu"), asked_executor(executor)).run(job)


def test_a_hardware_class_is_what_bits_depend_on():
    here = {"processor": "p", "device": "cpu", "threads": 1, "packages": {"torch": "2", "scipy": "1"}}
    assert hardware_class(here) == hardware_class(here | {"cores": 8, "git": None})
    for other in ({"device": "gpu"}, {"threads": 2}, {"packages": {"torch": "3"}}, {"processor": "q"}):
        assert hardware_class(here) != hardware_class(here | other)
