"""A large cohort's updates are added up as they come: the same server, flat memory."""

import json
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from fedbench.api.scenario import Faults
from fedbench.federation import gathering
from fedbench.federation.cohort_sums import CohortSums, RunningSums
from fedbench.rng import torch_stream
from fedbench.testing.contracts import example_cohort, installed, make
from fedbench.testing.toy import ToyTask, toy_rounds
from fedbench.testing.toy_adapters import ToyAdapters

SUMS = {
    entry.name: ToyAdapters() if entry.plugin.name == "lora" else ToyTask()
    for entry in sorted(installed().methods.entries, key=lambda entry: entry.name)
    if entry.spec.track == "alignment" and make(entry.name).needs == "sum"
}
"""What each method that needs sums is tested on."""
FAULTS = Faults(
    dropout=0.2,
    straggling=0.3,
    late="next-round",
    corruption=0.2,
    corrupted=("nan", "inf"),
    byzantine=0.2,
    attack="sign-flip",
)
SCRIPT = Path(__file__).parents[1] / "benchmarks" / "federated_rounds.py"


@pytest.fixture
def in_parts(monkeypatch):
    """Rounds whose updates are added up as they come, 16 clients at a time."""

    def rounds(*arguments, **more):
        with monkeypatch.context() as patch:
            patch.setattr(gathering, "KEPT_WHOLE", 0)
            return toy_rounds(*arguments, **more)

    return rounds


@pytest.mark.parametrize("faults", [Faults(), FAULTS], ids=["no faults", "faults"])
@pytest.mark.parametrize("method", SUMS)
def test_a_method_that_needs_sums_does_the_same_with_a_cohort_in_parts(in_parts, method, faults):
    more = {"clients": 20, "rounds": 3, "faults": faults, "task": SUMS[method]}
    whole, parts = toy_rounds(make(method), **more), in_parts(make(method), **more)
    for one, other in zip(whole, parts, strict=True):
        assert (one.cohort, one.left_out, one.came_late) == (other.cohort, other.left_out, other.came_late)
        assert one.after.spent.uplink_bytes == other.after.spent.uplink_bytes
        assert one.loss == pytest.approx(other.loss, rel=1e-5)
        for name, values in one.after.state.items():
            torch.testing.assert_close(other.after.state[name], values, rtol=1e-5, atol=1e-6)
        for name, values in one.after.client_state.items():
            torch.testing.assert_close(other.after.client_state[name], values, rtol=1e-5, atol=1e-6)
        assert one.after.late.keys() == other.after.late.keys()


def test_the_clients_in_a_pass_do_not_matter(in_parts):
    digests = {in_parts(make("fedavgm"), clients=40, chunk=chunk)[-1].digest for chunk in (1, 5, 40)}
    assert len(digests) == 1


def test_a_method_that_needs_updates_gets_them(in_parts):
    whole, parts = toy_rounds(make("median"), clients=20), in_parts(make("median"), clients=20)
    assert [done.digest for done in whole] == [done.digest for done in parts]


def test_sums_in_parts_are_those_of_the_cohort():
    cohort = example_cohort(clients=5)
    whole, running = CohortSums.of(cohort), RunningSums(1, cohort.space, torch_stream)
    for rows in (slice(3, 5), slice(0, 1), slice(1, 3)):
        running.add(part_of(cohort, rows))
    parts = running.cohort()
    assert parts.clients == whole.clients
    for name in ("params", "updates", "steps"):
        torch.testing.assert_close(parts.sum(name), whole.sum(name))
        torch.testing.assert_close(parts.mean(name), whole.mean(name))
        torch.testing.assert_close(parts.mean(name, per_step=True), whole.mean(name, per_step=True))


def part_of(cohort, rows):

    columns = {
        name: getattr(cohort, name)[rows] for name in ("clients", "params", "start", "num_examples", "steps")
    }
    return replace(cohort, **columns, sent={name: values[rows] for name, values in cohort.sent.items()})


@pytest.mark.slow
def test_memory_is_flat_in_the_number_of_clients():
    """100 and 400 clients of a million numbers each, one at a time: 1.2 GB more if updates were kept."""

    def peak(clients):
        command = [sys.executable, str(SCRIPT), "--clients", str(clients), "--cohort", str(clients)]
        command += ["--parameters", "1000000", "--rounds", "1", "--executor", "serial"]
        return json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout)[
            "peak_bytes"
        ]

    assert peak(400) < peak(100) + 50e6
