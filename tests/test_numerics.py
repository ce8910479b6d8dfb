"""No bit of any method changes unnoticed: two rounds of each, held to recorded digests.

``python tests/test_numerics.py`` records them anew. Do that only with a raised number in
``fedbench/numerics.py`` (a new method needs none), and say in docs/design.md why.
"""

import json
from pathlib import Path

import pytest
import torch

from fedbench.environment import device_class
from fedbench.fingerprint import sha256_bytes
from fedbench.numerics import NUMERICS
from fedbench.rng import torch_stream
from fedbench.testing.contracts import created, installed
from fedbench.testing.rewards import ToyRewardFederation, toy_answers
from fedbench.testing.toy import ToyTask, toy_rounds
from fedbench.testing.toy_adapters import ToyAdapters

FILE = Path(__file__).with_name("numerics.json")
OURS = "fedbench-suite"
METHODS = [entry for entry in installed().methods.entries if entry.plugin.distribution == OURS]
CLIENTS = 3
HERE = f"{device_class(torch.device('cpu'))}, torch {torch.__version__.partition('+')[0]}"


def probe(entry):
    """A vector that every step of the method has a part in: parameters after two rounds, or fused rewards."""
    method = created(f"{entry.plugin.name}/{entry.name}")
    if entry.spec.track == "preference" and hasattr(method, "fuse"):
        federation = ToyRewardFederation(CLIENTS)
        sources, state = len(method.sources(federation)), method.fit(federation)
        weights = method.route(state, toy_answers(0, 8), sources, torch_stream(0, "route"))
        rewards = torch.randn(8, sources, generator=torch_stream(0, "rewards"))
        return method.fuse(state, rewards.masked_fill(weights == 0, torch.nan), weights)
    task = ToyAdapters() if entry.plugin.name == "lora" else ToyTask()
    last = toy_rounds(method, task=task, clients=CLIENTS, rounds=2)[-1]
    kept = last.after.state | {f"client {name}": tensor for name, tensor in last.after.client_state.items()}
    return torch.cat([tensor.reshape(-1).float() for _, tensor in sorted(kept.items())])


def measured(entry):
    """The digest of the probe's bits, and three sums of it that any processor gives, rounding aside."""
    vector = probe(entry).detach()
    draws = torch.randn(3, len(vector), generator=torch_stream(0, "probe"), dtype=torch.float64)
    sums = (draws @ vector.double()) / max(1, len(vector)) ** 0.5
    return sha256_bytes(vector.contiguous().numpy().tobytes()), sums.tolist()


@pytest.fixture(autouse=True)
def one_thread():
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.mark.parametrize("entry", METHODS, ids=lambda entry: entry.name)
def test_two_rounds_give_the_recorded_numbers(entry):
    recorded = json.loads(FILE.read_text())
    digest, sums = measured(entry)
    assert recorded["numerics"] == NUMERICS
    assert sums == pytest.approx(recorded["sums"][entry.name], abs=1e-3, nan_ok=True)
    if HERE in recorded["digests"]:
        assert digest == recorded["digests"][HERE][entry.name], "see the top of this file"


def test_a_probe_sees_every_step(monkeypatch):
    """The digest moves with the last bit of a single client's step."""
    (fedavg,) = [entry for entry in METHODS if entry.name == "fedavg"]
    before = measured(fedavg)[0]
    loss = ToyTask.loss
    monkeypatch.setattr(ToyTask, "loss", lambda self, *batch: loss(self, *batch) * (1 + 1e-6))
    assert measured(fedavg)[0] != before


if __name__ == "__main__":
    torch.set_num_threads(1)
    results = {entry.name: measured(entry) for entry in METHODS}
    old = json.loads(FILE.read_text())["digests"] if FILE.exists() else {}
    content = {
        "numerics": NUMERICS,
        "sums": {name: sums for name, (_, sums) in results.items()},
        "digests": old | {HERE: {name: digest for name, (digest, _) in results.items()}},
    }
    FILE.write_text(json.dumps(content, indent=1) + "\n")
