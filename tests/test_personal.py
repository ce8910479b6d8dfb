"""The personalised methods, feddyn and fedexp: their identities, and what stays with a client."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from test_methods import after_many_steps

from fedbench.errors import UsageError
from fedbench.testing import ToyTask, toy_rounds, toy_setup
from fedbench.testing.contracts import example_cohort, make
from fedbench.testing.toy import TRAINING

SPACE = ToyTask().space
HEAD = slice(SPACE.spans["down.weight"][0], SPACE.size)
ADAM = TRAINING.model_copy(update={"optimizer": "adamw", "schedule": "cosine", "weight_decay": 0.1})


def models(method, **setup):
    """What is evaluated at the end, [N, P]."""
    return toy_setup(method, **setup).models(toy_rounds(method, **setup)[-1].after)


def server(method, **setup):
    """The server's parameters at the end."""
    return toy_rounds(method, **setup)[-1].after.state["params"]


# --- fedper, fedrep --------------------------------------------------------------------------------


def test_fedper_averages_the_body_and_keeps_the_heads():
    method = make("fedper")
    own = models(method)
    assert torch.equal(own[0, : HEAD.start], own[1, : HEAD.start])
    assert not torch.equal(own[0, HEAD], own[1, HEAD])
    assert server(method).shape == (HEAD.start,)


def test_fedper_without_a_head_is_fedavg_and_with_nothing_else_is_local():
    assert torch.equal(models(make("fedper", {"head": []})), models(make("fedavg")))
    assert torch.equal(models(make("fedper", {"head": ["up", "down"]})), models(make("local")))


@pytest.mark.parametrize("name", ["fedper", "fedrep"])
def test_a_layer_that_there_is_not_is_refused_with_the_tensors_that_there_are(name):
    for layer in ("head", "dow"):
        with pytest.raises(UsageError, match=f"there is no layer '{layer}': the trained tensors are up"):
            toy_rounds(make(name, {"head": [layer]}))
    assert torch.equal(models(make(name, {"head": ["down.weight", "down.bias"]})), models(make(name)))


def test_fedrep_without_steps_for_the_head_leaves_everybodys_at_the_start():
    own = models(make("fedrep", {"head_share": 0.0}), training=ADAM)
    assert torch.equal(own[:, HEAD], ToyTask().init()[HEAD].expand(3, -1))
    assert not torch.equal(own[0, : HEAD.start], ToyTask().init()[: HEAD.start])


def test_fedrep_with_all_steps_for_the_head_is_each_for_itself():
    own = models(make("fedrep", {"head_share": 1.0}), training=ADAM)
    torch.testing.assert_close(own[:, : HEAD.start], ToyTask().init()[: HEAD.start].expand(3, -1))
    assert not torch.equal(own[0, HEAD], own[1, HEAD])


def test_fedrep_sees_as_many_examples_as_fedavg():
    for ours, theirs in zip(toy_rounds(make("fedrep")), toy_rounds(make("fedavg")), strict=True):
        assert ours.costs.client_examples == theirs.costs.client_examples


# --- ditto -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("training", [TRAINING, ADAM], ids=["sgd", "adamw"])
def test_dittos_global_model_is_fedavgs_bit_for_bit(training):
    setup = {"clients": 5, "cohort": 3, "rounds": 4, "training": training}
    assert torch.equal(server(make("ditto"), **setup), server(make("fedavg"), **setup))


def test_ditto_without_a_pull_is_local_and_with_a_strong_one_stays_at_the_global_model():
    assert torch.equal(models(make("ditto", {"lam": 0.0})), models(make("local")))
    training = TRAINING.model_copy(update={"batch_size": 1})
    setup = {"shards": ToyTask().shards(3), "rounds": 1, "training": training}
    free, tied = (
        (models(make("ditto", {"lam": lam}), **setup) - ToyTask().init()).norm()
        for lam in (0.0, 1 / TRAINING.lr)
    )
    assert tied < 0.4 * free, "one step from what was sent, wherever the client's own optimum is"


def test_ditto_pulls_by_the_gradient_of_the_squared_distance():
    rule = make("ditto", {"lam": 0.3}).near_the_global_model(None)
    v, w = torch.randn(1, 6), torch.randn(1, 6)
    leaf = v.clone().requires_grad_()
    (wanted,) = torch.autograd.grad(0.3 / 2 * (leaf - w).square().sum(), leaf)
    torch.testing.assert_close(rule.gradient(torch.zeros(1, 6), v, w), wanted)


# --- fedavg-ft -------------------------------------------------------------------------------------


def test_fedavg_ft_is_fedavg_until_the_end_and_without_steps_to_the_end():
    fedavg, ft = toy_rounds(make("fedavg")), toy_rounds(make("fedavg-ft"))
    for ours, theirs in zip(ft, fedavg, strict=True):
        assert torch.equal(ours.after.state["params"], theirs.after.state["params"])
    still = models(make("fedavg-ft", {"passes": 0.0}))
    assert torch.equal(still, models(make("fedavg")).expand(3, -1))


def test_fedavg_ft_fits_each_client_better_than_fedavg():
    task = ToyTask()
    shards = task.shards(3)
    own, shared = (models(make(name), shards=shards) for name in ("fedavg-ft", "fedavg"))
    for client, shard in enumerate(shards):
        index = torch.from_numpy(shard)[None]
        assert task.loss(own[client : client + 1], index) < task.loss(shared, index)


# --- one client ------------------------------------------------------------------------------------

ALONE = {
    "fedper": {}, "ditto": {"lam": 0.0}, "fedavg-ft": {"passes": 0.0},
    "fedrep": {"head": [], "head_share": 0.0},
}  # fmt: skip


@pytest.mark.parametrize(("name", "options"), ALONE.items(), ids=ALONE)
def test_one_client_is_trained_alone(name, options):
    shards = [np.arange(60)]
    assert torch.equal(models(make(name, options), shards=shards), models(make("local"), shards=shards))


# --- feddyn ----------------------------------------------------------------------------------------


def test_feddyn_reaches_the_joint_optimum_where_fedavg_does_not():
    assert after_many_steps("feddyn", {"alpha": 1.0}) < 1e-4
    assert after_many_steps("fedavg") > 0.1


def test_feddyns_first_round_by_hand():
    """x₁ = mean(y) − h/α with h = −(α/N) Σ (y − x): the mean, and the mean update once more."""
    task, shards = ToyTask(dtype=torch.float64), ToyTask().shards(3)
    for alpha in (1e-3, 1.0):
        prox = server(make("fedprox", {"mu": alpha}), task=task, shards=shards, rounds=1)
        dyn = server(make("feddyn", {"alpha": alpha}), task=task, shards=shards, rounds=1)
        torch.testing.assert_close(dyn, prox + (prox - task.init()), rtol=0, atol=1e-9)


def test_feddyn_towards_alpha_zero_is_fedavg_with_undamped_momentum():
    """The correction of the gradient vanishes; h/α does not depend on α: x ← x + Δ̄ + v, v ← v + Δ̄."""
    task, shards = ToyTask(dtype=torch.float64), ToyTask().shards(3)
    dyn = server(make("feddyn", {"alpha": 1e-9}), task=task, shards=shards)
    x, v = task.init(), 0.0
    for number in (1, 2, 3):
        setup = {"task": task, "shards": shards, "rounds": 3}
        at = toy_setup(make("fedavg"), **setup).initial(x)
        done = toy_rounds(make("fedavg"), resume=replace(at, round=number - 1), **setup)[0]
        mean_update = done.after.state["params"] - x
        v = v + mean_update
        x = x + mean_update + v
    torch.testing.assert_close(dyn, x, rtol=0, atol=1e-6)


def test_feddyn_keeps_minus_alpha_times_what_each_client_moved():
    (done,) = toy_rounds(make("feddyn", {"alpha": 0.5}), rounds=1)
    h = done.after.client_state["correction"]
    torch.testing.assert_close(done.after.state["correction"], h.mean(0), rtol=0, atol=1e-7)


# --- fedexp ----------------------------------------------------------------------------------------


def test_fedexp_of_one_client_or_of_equal_updates_takes_fedavgs_steps():
    """Then Σ p‖Δ‖² = ‖Δ̄‖², so that η = 1; what is evaluated is the mean of the last two models."""
    shards = [np.arange(60)]
    ours, theirs = (toy_rounds(make(name), shards=shards) for name in ("fedexp", "fedavg"))
    for mine, other in zip(ours, theirs, strict=True):
        torch.testing.assert_close(mine.after.state["params"], other.after.state["params"])
        assert mine.diagnostics == {"eta": 1.0}
    two = [done.after.state["params"] for done in theirs[-2:]]
    torch.testing.assert_close(models(make("fedexp"), shards=shards)[0], sum(two) / 2)


def test_fedexp_extrapolates_where_updates_disagree():
    method = make("fedexp", {"eps": 1e-12})
    cohort = example_cohort(traffic=method.traffic(SPACE))
    cohort.sent["squared_norm"].copy_(cohort.updates.square().sum(1))
    start = {"params": cohort.start[0], "previous": cohort.start[0], "eta": torch.ones(())}
    state = method.aggregate(start, cohort)
    mean = (cohort.weights[:, None] * cohort.updates).sum(0)
    eta = (cohort.weights * cohort.updates.square().sum(1)).sum() / (2 * mean.square().sum())
    assert eta > 1.2
    torch.testing.assert_close(state["params"], cohort.start[0] + eta * mean)
    assert torch.equal(method.params_for(state), (state["params"] + cohort.start[0]) / 2)
    assert torch.equal(method.params_for(state, 0), state["params"]), "what is sent is no mean"
