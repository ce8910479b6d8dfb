"""Runs that train adapters: the records of all methods add up, and a killed run goes on to the same bits."""

import json
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from fedbench.federation import checkpoint
from fedbench.federation.executors import Executor
from fedbench.federation.loop import federate
from fedbench.federation.round_log import RoundLog
from fedbench.testing import ToyAdapters, toy_rounds, toy_setup
from fedbench.testing.contracts import make

LORA = ["training.trainable=projector+lora", "training.lora.rank=4", "training.lora.alpha=8.0"]
METHODS = [
    "fedavg",
    "ffa-lora",
    "rolora",
    "fedsa-lora",
    "flora",
    "fedex-lora",
    "flexlora",
    "hetlora",
    "fed-sb",
]


def settings(*changes):
    return [word for each in (*LORA, *changes) for word in ("--set", each)]


def record_of(fedbench, method, *changes, arguments=()):
    words = ("run", "-m", method, "-s", "tiny", *settings(*changes), *arguments, "--format", "json")
    code, out, err = fedbench(*words)
    assert code == 0, err
    return Path(json.loads(out)[0]["record"])


@pytest.mark.parametrize(
    "method", [pytest.param(name, marks=() if name == "flora" else pytest.mark.slow) for name in METHODS]
)
def test_a_record_adds_up(fedbench, tiny, method):
    path = record_of(fedbench, method)
    code, out, err = fedbench("leaderboard", "verify", path)
    assert code == 0, (out, err)


@pytest.mark.parametrize("method", ["hetlora", pytest.param("flora", marks=pytest.mark.slow)])
def test_a_record_of_mixed_ranks_adds_up_and_one_that_lies_does_not(fedbench, tiny, method):
    path = record_of(fedbench, method, "training.lora.rank=[2,4,4]")
    record = json.loads(path.read_text())
    assert set(record["contract"]["up_by_rank"]) == {"2", "4"}
    assert fedbench("leaderboard", "verify", path)[0] == 0


def test_a_scenario_of_mixed_ranks_refuses_other_methods(fedbench, tiny):
    code, _, err = fedbench("run", "-m", "fedadam", "-s", "tiny", *settings("training.lora.rank=[2,4,4]"))
    assert code == 2 and "merges adapters of one rank only" in err


def test_serial_and_batched_clients_agree(fedbench, tiny):
    serial, batched = (
        json.loads(
            record_of(fedbench, "fedavg", arguments=("--executor", name, "--output", name)).read_text()
        )
        for name in ("serial", "batched")
    )
    for one, other in zip(serial["rounds"]["log"][1:], batched["rounds"]["log"][1:], strict=True):
        assert one["loss"] == pytest.approx(other["loss"], abs=1e-4)


@pytest.mark.parametrize("method", ["flora", "fedex-lora", "rolora"])
def test_a_checkpoint_holds_the_moved_base_and_who_has_what(tmp_path, method):
    setup = {"task": ToyAdapters(), "clients": 4, "cohort": 2, "rounds": 5}
    whole = toy_rounds(make(method), **setup)
    log = RoundLog(tmp_path / "rounds.jsonl")
    log.append("{}")
    saved = checkpoint.Checkpoint(
        run_id="r", identity={}, state=whole[2].after, log=log.mark, executor={}, started="", seconds=0.0
    )
    checkpoint.save(tmp_path, saved)
    at = checkpoint.load(tmp_path, "r", log=log.path, device=torch.device("cpu"), warn=pytest.fail)
    assert at.state.moved.numbers == whole[2].after.moved.numbers
    rest = list(federate(toy_setup(make(method), **setup), Executor("toy", 1), at.state))
    assert [each.digest for each in rest] == [each.digest for each in whole[3:]]
    assert [replace(each.costs, client_seconds=0, server_seconds=0) for each in rest] == [
        replace(each.costs, client_seconds=0, server_seconds=0) for each in whole[3:]
    ]
