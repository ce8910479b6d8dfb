"""Every installed alignment method keeps the contract, and the identities of METHODS hold."""

from dataclasses import dataclass, replace
from itertools import pairwise

import numpy as np
import pytest
import torch
from fedbench_baselines.robust import krum_scores

from fedbench.api.aggregator import Context
from fedbench.api.local_rule import Clients, LocalRule
from fedbench.errors import UsageError
from fedbench.federation.executors import Executor
from fedbench.federation.local import train_clients
from fedbench.federation.loop import federate
from fedbench.federation.plan import plan
from fedbench.federation.task import Task
from fedbench.params import ParamSpace
from fedbench.testing import AggregatorContract, ToyTask, toy_rounds, toy_setup
from fedbench.testing.contracts import example_cohort, installed, make
from fedbench.testing.toy import TRAINING

METHODS = [
    entry.name
    for entry in installed().methods.entries
    if entry.spec.track != "preference" and entry.plugin.name != "lora"  # test_lora_methods.py
]


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
    found = toy_rounds(make("fedavg"), task=task, shards=shards, rounds=2)[-1].after.state["params"]
    features, targets = task.data
    params = task.init()
    for number in (1, 2):
        results, sizes = [], []
        for work in plan(toy_setup(make("fedavg"), shards=shards, rounds=2), range(3), number):
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
        toy_rounds(make("fedprox", {"mu": mu}), shards=shards, rounds=1)[0].after.state["params"]
        for mu in (0, 5.0)
    )
    assert (tied - start).norm() < 0.7 * (free - start).norm()


def test_fedprox_gradient_is_of_the_squared_norm():
    rule = make("fedprox", {"mu": 0.3}).local_rule(Clients((0,), torch.zeros(1, 6)))
    params, anchor = torch.randn(1, 6), torch.randn(1, 6)
    w = params.clone().requires_grad_()
    (wanted,) = torch.autograd.grad(0.3 / 2 * (w - anchor).square().sum(), w)
    torch.testing.assert_close(rule.gradient(torch.zeros(1, 6), params, anchor), wanted)


ALONE = {
    "fedavg": {}, "fedprox": {"mu": 0.0}, "fednova": {}, "fedavgm": {"beta": 0.0}, "fedavg-ta": {},
    "fedavg-ties": {"keep": 1.0}, "fedavg-dare": {"drop": 0.0}, "median": {}, "trimmed-mean": {},
    "fed-cmp": {"opm": False}, "local": {},
}  # fmt: skip


@pytest.mark.parametrize(("name", "options"), ALONE.items(), ids=ALONE)
def test_one_client_is_centralized(name, options):
    shards = [np.arange(60)]
    alone = evaluated_last(make(name, options), shards)
    torch.testing.assert_close(alone, evaluated_last(make("centralized"), shards), rtol=0, atol=1e-6)


def evaluated_last(aggregator, shards):
    """The first of the models that are evaluated at the end."""
    return toy_setup(aggregator, shards=shards).models(toy_rounds(aggregator, shards=shards)[-1].after)[0]


@pytest.mark.parametrize("name", METHODS)
def test_an_empty_cohort_is_an_error_that_says_so(name):
    cohort = example_cohort()
    nobody = {f: getattr(cohort, f)[:0] for f in ("clients", "params", "start", "num_examples", "steps")}
    with pytest.raises(ValueError, match="a cohort without clients"):
        make(name).aggregate({}, replace(cohort, **nobody))


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
    assert torch.equal(rounds[-1].after.state["params"], ToyTask().init())
    assert all(r.costs.client_examples == r.costs.uplink_bytes == 0 for r in rounds)


def test_local_clients_never_meet():
    task = ToyTask()
    shards = task.shards(3, equal=False)
    rounds = toy_rounds(make("local"), task=task, shards=shards)
    alone = toy_rounds(make("local"), task=task, shards=(shards[0], shards[1], shards[1]))
    models, others = (done[-1].after.client_state["params"] for done in (rounds, alone))
    torch.testing.assert_close(models[0], others[0])
    assert not torch.equal(models[1], models[2])
    assert rounds[-1].after.state["params"].numel() == 0
    assert all(r.costs.uplink_bytes == r.costs.downlink_bytes == 0 for r in rounds)


def test_options_are_typed_and_closed():
    for bad in ({"mu": -1}, {"mu": "much"}, {"nu": 1}):
        with pytest.raises(UsageError):
            make("fedprox", bad)


def aggregated(method, cohort, state=None, rounds=1, **options):
    """The parameters after ``rounds`` aggregations of the same cohort's updates."""
    aggregator = make(method, options)
    state = state or aggregator.initial_state(
        cohort.start[0], Context(cohort.space, len(cohort.clients), rounds)
    )
    for _ in range(rounds):
        given = replace(cohort, params=state["params"] + cohort.updates, start=state["params"].expand(4, -1))
        state = aggregator.aggregate(state, given)
    return state["params"]


@pytest.fixture
def cohort():
    return example_cohort()


def test_unweighted_identities(cohort):
    mean = cohort.params.mean(0)
    for found in (
        aggregated("trimmed-mean", cohort, beta=0.0),
        aggregated("multikrum", cohort, m=4),
        aggregated("multikrum", cohort, f=0),
    ):
        torch.testing.assert_close(found, mean, rtol=0, atol=1e-6)
    torch.testing.assert_close(
        aggregated("median", cohort), torch.quantile(cohort.params, 0.5, dim=0), rtol=0, atol=1e-6
    )


def test_ties_keeps_everything_that_agrees(cohort):
    agreeing = replace(cohort, params=cohort.start + cohort.updates.abs())
    found = aggregated("fedavg-ties", agreeing, keep=1.0)
    torch.testing.assert_close(found, agreeing.weights @ agreeing.params, rtol=0, atol=1e-6)


def test_ties_of_one_client_is_its_largest_entries(cohort):
    alone = replace(
        cohort, clients=(0,), params=cohort.params[:1], start=cohort.start[:1], num_examples=torch.tensor([5])
    )
    update = (
        make("fedavg-ties", {"keep": 0.25}).aggregate({"params": alone.start[0]}, alone)["params"]
        - alone.start[0]
    )
    kept = update.abs() > 1e-7
    assert kept.sum() == round(0.25 * len(update))
    assert alone.updates[0][kept].abs().min() >= alone.updates[0][~kept].abs().max()


def test_fednova_with_equal_steps_is_fedavg(cohort):
    torch.testing.assert_close(aggregated("fednova", cohort), aggregated("fedavg", cohort), rtol=0, atol=1e-6)
    uneven = replace(cohort, steps=torch.tensor([1, 2, 3, 4]))
    per_step = sum(p * d / t for p, d, t in zip(cohort.weights, cohort.updates, uneven.steps, strict=True))
    wanted = cohort.start[0] + (cohort.weights @ uneven.steps.float()) * per_step
    torch.testing.assert_close(aggregated("fednova", uneven), wanted, rtol=0, atol=1e-6)


def test_fedadam_is_algorithm_two(cohort):
    """Two rounds by hand in float64: v from Δ², v₀ = τ², no bias correction."""
    update = (cohort.weights.double() @ cohort.updates.double()).numpy()
    x, m, v = cohort.start[0].double().numpy(), 0.0, 1e-3**2
    for _ in range(2):
        m, v = 0.9 * m + 0.1 * update, 0.99 * v + 0.01 * update**2
        x = x + 1e-2 * m / (np.sqrt(v) + 1e-3)
    np.testing.assert_allclose(aggregated("fedadam", cohort, rounds=2).numpy(), x, rtol=0, atol=1e-6)


def test_yogi_and_adagrad_second_moments(cohort):
    squared, second = torch.tensor([4.0, 1.0]), torch.tensor([1.0, 4.0])
    yogi = make("fedyogi").second_moment(second, squared)
    torch.testing.assert_close(yogi, torch.tensor([1.04, 3.99]))
    torch.testing.assert_close(make("fedadagrad").second_moment(second, squared), torch.tensor([5.0, 5.0]))


def test_fedavgm_accumulates(cohort):
    update = cohort.weights @ cohort.updates
    found = aggregated("fedavgm", cohort, rounds=3, beta=0.5)
    torch.testing.assert_close(found, cohort.start[0] + (1 + 1.5 + 1.75) * update, rtol=0, atol=1e-5)


@pytest.mark.parametrize("method", ["median", "trimmed-mean", "krum", "multikrum"])
def test_robust_methods_ignore_one_attacker_and_the_mean_does_not(method):
    honest = example_cohort(clients=7)
    params = honest.params.clone()
    params[3] = 1e6
    attacked = replace(honest, params=params)
    for name, limit in ((method, True), ("fedavg", False)):
        found = make(name).aggregate({"params": attacked.start[0]}, attacked)["params"]
        assert ((found - honest.start[0]).abs().max() < 1) == limit


def test_krum_scores_do_not_cancel_on_large_weights():
    """Updates of 1e-3 on weights of 1e4: distances from weights in fp32 would be noise."""
    cohort = example_cohort(clients=6)
    start = cohort.start.double() * 1e4
    updates = 1e-3 * torch.arange(1, 7)[:, None] * torch.ones_like(cohort.params)
    scores = krum_scores(replace(cohort, params=start + updates, start=start), f=1)
    assert scores.argsort().tolist()[:2] == [2, 3] or scores.argsort().tolist()[:2] == [3, 2]
    assert scores.isfinite().all()


@dataclass(frozen=True)
class Quadratic(Task):
    """Two clients, ½ a_k ‖w − b_k‖², of different curvature: averaging drifted clients misses the optimum."""

    space = ParamSpace({"w": (2,)})
    device = torch.device("cpu")
    curvature = torch.tensor([1.0, 4.0], dtype=torch.float64)
    centre = torch.tensor([[0.0, 1.0], [1.0, -1.0]], dtype=torch.float64)

    @property
    def optimum(self):
        return (self.curvature[:, None] * self.centre).sum(0) / self.curvature.sum()

    def init(self, seed=0):
        return torch.zeros(2, dtype=torch.float64)

    def loss(self, params, index):
        client = (index[:, 0] >= 50).long()
        return 0.5 * self.curvature[client] * (params - self.centre[client]).square().sum(1)


def after_many_steps(method, options=None):
    """How far from the joint optimum 60 rounds of a method end."""
    task, aggregator = Quadratic(), make(method, options)
    shards = (np.arange(0, 50), np.arange(50, 100))
    rounds = 60
    training = TRAINING.model_copy(update={"batch_size": 1, "lr": 0.05})
    # 20 steps a round for each client: the same quadratic at every step, whatever the example.
    shards = tuple(np.tile(shard[:20], rounds) for shard in shards)
    setup = toy_setup(aggregator, task=task, shards=shards, rounds=rounds, training=training)
    start = setup.initial(torch.zeros(2, dtype=torch.float64))
    done = list(federate(setup, Executor("serial", 1), start))
    return (done[-1].after.state["params"] - task.optimum).norm()


def test_scaffold_reaches_the_joint_optimum_and_fedavg_does_not():
    assert after_many_steps("scaffold") < 1e-6
    assert after_many_steps("fedavg") > 0.1


def test_scaffolds_first_round_is_fedavg():
    scaffold, fedavg = (toy_rounds(make(name), rounds=2) for name in ("scaffold", "fedavg"))
    assert scaffold[0].digest == fedavg[0].digest
    assert scaffold[1].digest != fedavg[1].digest
    assert scaffold[0].costs.uplink_bytes == 2 * fedavg[0].costs.uplink_bytes


def test_scaffold_controls_are_option_two_under_plain_sgd():
    task = ToyTask(dtype=torch.float64)
    shards = task.shards(3)
    setup = toy_setup(make("scaffold"), shards=shards, rounds=2)
    first, second = toy_rounds(make("scaffold"), task=task, shards=shards, rounds=2)
    for client, work in enumerate(plan(setup, range(3), 2)):
        steps = -(-len(work.examples) // TRAINING.batch_size)
        assert steps > 1
        before = first.after.client_state["control"][client]
        x, c = first.after.state["params"], first.after.state["control"]
        rule = LocalRule(gradient=lambda g, p, a, shift=c - before: g + shift)
        y = train_clients(task, x[None], [work], rule, TRAINING).params[0]
        wanted = before - c + (x - y) / (steps * TRAINING.lr)
        torch.testing.assert_close(second.after.client_state["control"][client], wanted, rtol=0, atol=1e-9)
    torch.testing.assert_close(
        second.after.state["control"], second.after.client_state["control"].mean(0), rtol=0, atol=1e-9
    )


def test_what_a_client_keeps_stays_with_it_until_it_takes_part_again():
    rounds = toy_rounds(make("moon"), clients=5, cohort=2, rounds=6)
    for before, now in pairwise(rounds):
        for client in range(5):
            changed = not torch.equal(
                before.after.client_state["previous"][client], now.after.client_state["previous"][client]
            )
            assert changed == (client in now.cohort)


def test_moon_pulls_towards_the_global_projector_and_away_from_the_last_one():
    aggregator = make("moon", {"mu": 1.0})
    task = ToyTask()
    index = torch.arange(6).view(1, 6)
    anchor, previous = task.init(0), task.init(1)
    rule = aggregator.local_rule(Clients((0,), anchor[None], client_state={"previous": previous[None]}))
    at_global, at_previous = (rule.loss(task.signals(p[None], index)) for p in (anchor, previous))
    assert at_global < np.log(2) < at_previous
    same = aggregator.local_rule(Clients((0,), anchor[None], client_state={"previous": anchor[None]}))
    torch.testing.assert_close(
        same.loss(task.signals(previous[None], index)), torch.tensor([np.log(2)], dtype=torch.float32)
    )
