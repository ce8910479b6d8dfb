"""Every installed alignment method keeps the contract, and the identities of METHODS hold."""

import numpy as np
import pytest
import torch

from fedbench.errors import UsageError
from fedbench.federation.loop import plan
from fedbench.testing import AggregatorContract, ToyTask, toy_rounds
from fedbench.testing.contracts import installed, make
from fedbench.testing.toy import TRAINING

METHODS = [entry.name for entry in installed().methods.entries if entry.spec.track == "alignment"]


@pytest.mark.parametrize("method", METHODS)
class TestEveryMethod(AggregatorContract):
    @pytest.fixture(autouse=True)
    def _choose(self, method):
        self.method = method


def test_the_methods_of_the_first_release_are_there():
    assert {"start", "local", "centralized", "fedavg", "fedprox", "fed-cmp"} <= set(METHODS)


def test_fedavg_is_a_reference_loop_in_float64():
    """Twenty lines of plain torch: one client at a time, autograd on an ordinary module."""
    task = ToyTask(dtype=torch.float64)
    shards = task.shards(3, equal=False)
    found = toy_rounds(make("fedavg"), task=task, shards=shards, rounds=2)[-1].state["params"]
    features, targets = task.data
    params = task.init()
    for number in (1, 2):
        results, sizes = [], []
        for work in plan(shards, range(3), number, 2, TRAINING, seed=0):
            up, down = torch.nn.Linear(5, 7).double(), torch.nn.Linear(7, 4).double()
            net = torch.nn.Sequential(up, torch.nn.GELU(), down)
            torch.nn.utils.vector_to_parameters(params.clone(), net.parameters())
            sgd = torch.optim.SGD(net.parameters(), lr=TRAINING.lr)
            for chosen in np.array_split(work.examples, np.arange(4, len(work.examples), 4)):
                sgd.zero_grad()
                loss = 0.5 * (net(features[chosen]).mean(1) - targets[chosen]).square().sum(-1).mean()
                loss.backward()
                sgd.step()
            results.append(torch.nn.utils.parameters_to_vector(net.parameters()).detach())
            sizes.append(len(work.examples))
        params = sum(n / sum(sizes) * result for n, result in zip(sizes, results, strict=True))
    torch.testing.assert_close(found, params, rtol=0, atol=1e-6)


def test_fedprox_pulls_towards_what_was_broadcast():
    task, shards = ToyTask(), ToyTask().shards(2)
    start = task.init()
    free, tied = (
        toy_rounds(make("fedprox", {"mu": mu}), shards=shards, rounds=1)[0].state["params"] for mu in (0, 5.0)
    )
    assert (tied - start).norm() < 0.7 * (free - start).norm()


def test_fedprox_gradient_is_of_the_squared_norm():
    rule = make("fedprox", {"mu": 0.3}).local_rule({}, [0])
    params, anchor = torch.randn(1, 6), torch.randn(1, 6)
    w = params.clone().requires_grad_()
    (wanted,) = torch.autograd.grad(0.3 / 2 * (w - anchor).square().sum(), w)
    torch.testing.assert_close(rule.gradient(torch.zeros(1, 6), params, anchor), wanted)


def test_one_client_is_centralized():
    shards = (np.arange(40),)
    alone, pooled = (toy_rounds(make(name), shards=shards)[-1].digest for name in ("fedavg", "centralized"))
    assert alone == pooled


def test_centralized_sees_every_example_once():
    task = ToyTask()
    central = toy_rounds(make("centralized"), task=task, shards=task.shards(3, equal=False))
    federated = toy_rounds(make("fedavg"), task=task, shards=task.shards(3, equal=False))
    for rounds in (central, federated):
        assert sum(r.costs.client_examples for r in rounds) == task.examples
    assert all(r.costs.uplink_bytes == 0 for r in central)
    assert all(r.costs.uplink_bytes == 3 * 4 * task.space.size for r in federated)


def test_start_never_moves_and_costs_nothing():
    rounds = toy_rounds(make("start"))
    assert torch.equal(rounds[-1].state["params"], ToyTask().init())
    assert all(r.costs.client_examples == r.costs.uplink_bytes == 0 for r in rounds)


def test_local_clients_never_meet():
    task = ToyTask()
    shards = task.shards(3, equal=False)
    rounds = toy_rounds(make("local"), task=task, shards=shards)
    alone = toy_rounds(make("local"), task=task, shards=(shards[0], shards[1], shards[1]))
    torch.testing.assert_close(rounds[-1].state["params"][0], alone[-1].state["params"][0])
    assert not torch.equal(rounds[-1].state["params"][1], rounds[-1].state["params"][2])


def test_options_are_typed_and_closed():
    for bad in ({"mu": -1}, {"mu": "much"}, {"nu": 1}):
        with pytest.raises(UsageError):
            make("fedprox", bad)
