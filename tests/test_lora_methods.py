"""The methods that merge LoRA adapters: their contract, identities, and what travels."""

from dataclasses import replace
from math import prod

import numpy as np
import pytest
import torch

from fedbench import UsageError, adapter_pairs
from fedbench.federation.ledger import bill_of
from fedbench.testing import AggregatorContract, ToyAdapters, ToyTask, example_cohort, toy_rounds, toy_setup
from fedbench.testing.contracts import installed, make
from fedbench.testing.toy import TRAINING

METHODS = ["ffa-lora", "rolora", "fedsa-lora", "flora", "fedex-lora", "flexlora", "hetlora", "fed-sb"]
MIXED = ["fedavg", "flora", "flexlora", "hetlora"]
DOUBLE = ToyAdapters(dtype=torch.float64)


class LoraContract(AggregatorContract):
    task = ToyAdapters()


class TestFFALora(LoraContract):
    method = "ffa-lora"


class TestRoLora(LoraContract):
    method = "rolora"


class TestFedSALora(LoraContract):
    method = "fedsa-lora"


class TestFLora(LoraContract):
    method = "flora"


class TestFedExLora(LoraContract):
    method = "fedex-lora"


class TestFlexLora(LoraContract):
    method = "flexlora"


class TestHetLora(LoraContract):
    method = "hetlora"


class TestFedSB(LoraContract):
    method = "fed-sb"


def weights(task, setup, at):
    """W + ΔW of every linear, [O, I], as the global model after ``at`` has them, the base's moves
    included."""
    model = setup.models(at)[0]
    factors, offset = model[: task.space.size], model[task.space.size :]
    whole = task.weights(factors[None])
    moves = task.bases.views(offset) if len(offset) else {}
    return {name: weight[0] + moves.get(name, 0) for name, weight in whole.items()}


def server_weights(method, task=DOUBLE, **setup):
    made = toy_setup(make(method), task=task, **setup)
    return weights(task, made, toy_rounds(make(method), task=task, **setup)[-1].after)


def mean_of_products(method="fedavg", task=DOUBLE, ranks=()):
    """W + Σ p_k ΔW_k after a round, from each client trained alone, in its own place among empty ones."""
    shards = task.shards(3, equal=False)
    share = np.array([len(shard) for shard in shards]) / sum(map(len, shards))
    own = []
    for client, shard in enumerate(shards):
        alone = [shard if place == client else shard[:0] for place in range(3)]
        own.append(server_weights(method, task, shards=alone, rounds=1, ranks=ranks))
    return {name: sum(p * each[name] for p, each in zip(share, own, strict=True)) for name in own[0]}


def distance(one, other):
    return max(float((one[name] - other[name]).abs().max()) for name in one)


@pytest.mark.parametrize("method", ["flora", "fedex-lora"])
def test_the_sum_of_products_is_exact(method):
    assert distance(server_weights(method, rounds=1), mean_of_products()) < 1e-10


def test_the_mean_of_the_factors_is_not():
    assert distance(server_weights("fedavg", rounds=1), mean_of_products()) > 1e-6


def test_flexlora_of_the_full_rank_is_the_exact_mean():
    wide = replace(DOUBLE, rank=4)  # as much as the layers have
    assert distance(server_weights("flexlora", wide, rounds=1), mean_of_products(task=wide)) < 1e-6


@pytest.mark.parametrize("method", ["ffa-lora", "fed-sb"])
def test_averaging_what_is_trained_is_averaging_the_products(method):
    """ΔW is linear in what is trained: the server's is the mean of the clients'."""
    assert distance(server_weights(method, rounds=1), mean_of_products(method)) < 1e-10


@pytest.mark.parametrize("method", ["fedex-lora", "hetlora"])
def test_one_client_is_the_same_adapters_trained_alone(method):
    assert distance(server_weights(method, clients=1), server_weights("fedavg", clients=1)) < 1e-9


def test_fedsa_of_one_client_is_fedavg():
    assert distance(server_weights("fedsa-lora", clients=1), server_weights("fedavg", clients=1)) < 1e-9


@pytest.mark.parametrize("method", ["hetlora", "flexlora"])
def test_equal_clients_give_what_each_of_them_has(method):
    shard = DOUBLE.shards(3)[0]
    one_batch = TRAINING.model_copy(update={"batch_size": len(shard)})  # whose order is of no account
    alike = {"shards": (shard, shard, shard), "training": one_batch, "epochs": 4, "rounds": 1}
    assert distance(server_weights(method, **alike), server_weights("fedavg", **alike)) < 1e-6


def test_flora_starts_anew_in_every_round():
    rounds = toy_rounds(make("flora"), task=DOUBLE, rounds=2)
    views = [DOUBLE.space.views(each.after.state["params"]) for each in rounds]
    for pair in adapter_pairs(DOUBLE.space):
        assert not views[0][pair.b].any() and not views[1][pair.b].any()
        assert not torch.equal(views[0][pair.a], views[1][pair.a])


def test_rolora_moves_one_factor_a_round():
    rounds = toy_rounds(make("rolora"), task=DOUBLE, rounds=3)
    params = [DOUBLE.init(), *(each.after.state["params"] for each in rounds)]
    for number in range(3):
        before, after = DOUBLE.space.views(params[number]), DOUBLE.space.views(params[number + 1])
        for pair in adapter_pairs(DOUBLE.space):
            assert torch.equal(before[pair.a], after[pair.a]) == (number % 2 == 0)
            assert torch.equal(before[pair.b], after[pair.b]) == (number % 2 == 1)


def test_ffa_keeps_its_a():
    made = toy_setup(make("ffa-lora"), task=DOUBLE)
    model = made.models(toy_rounds(make("ffa-lora"), task=DOUBLE)[-1].after)[0]
    for pair in adapter_pairs(DOUBLE.space):
        assert torch.equal(DOUBLE.space.views(model)[pair.a], DOUBLE.space.views(DOUBLE.init())[pair.a])


def test_the_residuals_norm_is_the_means_error():
    rounds = toy_rounds(make("fedex-lora"), task=DOUBLE, rounds=1)
    fedavg, exact = server_weights("fedavg", rounds=1), mean_of_products()
    error = sum((fedavg[name] - exact[name]).square().sum() for name in exact).sqrt() / DOUBLE.scale
    assert rounds[0].diagnostics["cross_terms"] == pytest.approx(float(error), rel=1e-4)


# --- mixed ranks -----------------------------------------------------------------------------------


@pytest.mark.parametrize("method", MIXED)
def test_clients_of_other_ranks_than_the_largest(method):
    rounds = toy_rounds(make(method), task=DOUBLE, ranks=(1, 2, 2), rounds=3)
    assert rounds[-1].loss < rounds[0].loss
    assert torch.isfinite(rounds[-1].after.state["params"]).all()


@pytest.mark.parametrize("method", sorted({*METHODS, "median", "fedadam"} - set(MIXED)))
def test_methods_of_one_rank_refuse_others(method):
    with pytest.raises(UsageError, match=r"merges adapters of one rank only.*1, 2"):
        toy_setup(make(method), task=DOUBLE, ranks=(1, 2, 2))


def test_a_rank_is_averaged_over_those_who_have_it():
    """The second rank is the second and third client's alone."""
    shards = DOUBLE.shards(3)
    setup = {"task": DOUBLE, "rounds": 1}
    mixed = toy_rounds(make("fedavg"), ranks=(1, 2, 2), shards=shards, **setup)[-1].after.state["params"]
    without = [shards[0][:0], *shards[1:]]
    two = toy_rounds(make("fedavg"), shards=without, **setup)[-1].after.state["params"]
    for pair in adapter_pairs(DOUBLE.space):
        mixed_b, two_b = (DOUBLE.space.views(params)[pair.b] for params in (mixed, two))
        torch.testing.assert_close(mixed_b[:, 1], two_b[:, 1], rtol=0, atol=1e-6)
        assert not torch.allclose(mixed_b[:, 0], two_b[:, 0], rtol=0, atol=1e-6)


def test_flora_of_mixed_ranks_is_exact():
    ranks = (1, 2, 2)
    exact = mean_of_products("flora", ranks=ranks)  # one client's stack is its own product
    assert distance(server_weights("flora", ranks=ranks, rounds=1), exact) < 1e-6
    assert distance(exact, mean_of_products()) > 1e-6


# --- what travels ----------------------------------------------------------------------------------

RANK, SHAPES = 2, list(ToyAdapters().bases.shapes.values())
OUT, IN = sum(shape[0] for shape in SHAPES), sum(shape[1] for shape in SHAPES)
BOTH, WHOLE = RANK * (OUT + IN), sum(map(prod, SHAPES))


def stack(rank):
    """Factors of this rank, or whole weights where these are smaller."""
    return sum(min(rank * sum(shape), prod(shape)) for shape in SHAPES)


@pytest.mark.parametrize(
    ("method", "up", "down"),
    [
        ("fedavg", [BOTH] * 3, [BOTH] * 3),
        ("ffa-lora", [RANK * OUT] * 3, [RANK * OUT] * 3),
        ("rolora", [RANK * OUT, RANK * IN, RANK * OUT], [BOTH, RANK * OUT, RANK * IN]),
        ("fedsa-lora", [RANK * IN] * 3, [RANK * IN] * 3),
        ("flora", [BOTH] * 3, [0, stack(3 * RANK), stack(3 * RANK)]),
        ("fedex-lora", [BOTH] * 3, [BOTH, BOTH + stack(2 * RANK), BOTH + stack(2 * RANK)]),
        ("flexlora", [BOTH] * 3, [BOTH] * 3),
        ("hetlora", [BOTH] * 3, [BOTH] * 3),
        ("fed-sb", [RANK**2 * 2] * 3, [RANK**2 * 2] * 3),
    ],
)
def test_bytes_are_those_of_the_formula(method, up, down):
    rounds = toy_rounds(make(method), task=ToyAdapters(), rounds=3)
    assert [each.costs.uplink_bytes / 4 / 3 for each in rounds] == up
    assert [each.costs.downlink_bytes / 4 / 3 for each in rounds] == down


def test_a_client_of_a_smaller_rank_is_billed_for_its_own():
    rounds = toy_rounds(make("hetlora"), task=ToyAdapters(), ranks=(1, 2, 2), rounds=1)
    assert rounds[0].costs.uplink_bytes == 4 * (1 + 2 + 2) * (OUT + IN)
    assert rounds[0].costs.downlink_bytes == rounds[0].costs.uplink_bytes


def test_a_client_that_was_away_is_sent_the_moves_that_it_missed_and_never_more_than_whole_weights():
    rounds = toy_rounds(make("flora"), task=ToyAdapters(), clients=4, cohort=2, rounds=8)
    offered, total = {}, 0
    for each in rounds:
        owed = [min(total - offered.get(client, 0), WHOLE) for client in each.cohort]
        assert each.costs.downlink_bytes == 4 * sum(owed)
        offered |= dict.fromkeys(each.cohort, total)
        total += each.moved
    assert any(each.costs.downlink_bytes for each in rounds)


def test_a_client_that_was_away_is_sent_both_factors():
    setup = {"task": ToyAdapters(), "clients": 4, "cohort": 2, "rounds": 6}
    bill, last = bill_of(toy_setup(make("rolora"), **setup)), {}
    for number, each in enumerate(toy_rounds(make("rolora"), **setup), start=1):
        numbers = [bill.down_in(client, number, last.get(client, 0)) for client in each.cohort]
        assert each.costs.downlink_bytes == 4 * sum(numbers)
        last |= dict.fromkeys(each.cohort, number)
    assert bill.down_in(0, 4, 2) == BOTH and bill.down_in(0, 4, 3) == RANK * OUT


@pytest.mark.parametrize("method", METHODS)
def test_a_scenario_without_adapters_is_refused(method):
    with pytest.raises(UsageError, match="no adapters to merge"):
        toy_setup(make(method), task=ToyTask())


@pytest.mark.parametrize("method", ["fedper", "fedrep"])
def test_personalised_methods_keep_b(method):
    models = toy_setup(make(method), task=DOUBLE).models(toy_rounds(make(method), task=DOUBLE)[-1].after)
    for pair in adapter_pairs(DOUBLE.space):
        assert torch.equal(*DOUBLE.space.views(models[:2])[pair.a])
        assert not torch.equal(*DOUBLE.space.views(models[:2])[pair.b])


OTHERS = [
    entry.name
    for entry in installed().methods.entries
    if entry.spec.track in ("alignment", "any") and entry.plugin.name != "lora"
]


@pytest.mark.parametrize("method", OTHERS)
def test_whatever_merges_vectors_runs_on_adapters(method):
    rounds = toy_rounds(make(method), task=ToyAdapters(), rounds=3)
    models = toy_setup(make(method), task=ToyAdapters(), rounds=3).models(rounds[-1].after)
    assert models.isfinite().all()


def test_moon_is_fedavg_where_the_projector_is_frozen():
    moon, fedavg = (toy_rounds(make(name), task=ToyAdapters()) for name in ("moon", "fedavg"))
    assert [each.digest for each in moon] == [each.digest for each in fedavg]


def test_a_cohort_of_mixed_ranks_has_them():
    cohort = replace(example_cohort(clients=3, space=ToyAdapters().space), ranks=(1, 2, 2))
    assert cohort.mean("params").isfinite().all()
