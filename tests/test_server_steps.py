"""Server steps in column blocks: the bits, or the accuracy, of the expressions over the whole cohort."""

import json
import subprocess
import sys
from dataclasses import replace
from itertools import product
from pathlib import Path

import pytest
import torch
from fedbench_baselines.ordered import NETWORK, comparators, network, ordered
from fedbench_baselines.robust import SMALL, krum_scores, squared_distances
from fedbench_fedcmp.reliability import update_sizes

import fedbench
from fedbench.api.aggregator import Context
from fedbench.api.cohort import Cohort
from fedbench.api.column_blocks import IN_CACHE, STEP
from fedbench.params import ParamSpace
from fedbench.rng import torch_stream
from fedbench.testing.contracts import make

ROOT = Path(__file__).parent.parent
SHAPES = [
    *product((1, 2, 3, 4, 5, 10, 17, 26, NETWORK, NETWORK + 1), (1, 7, 1000)),
    (3, 2 * IN_CACHE + 77), (50, 4 * STEP + 1), (50, 20_011), (100, 6 * STEP - 1),
]  # fmt: skip


def cohort_of(clients, size, dtype=torch.float32, seed=0):
    """Updates of one-tenth of the weights' size, from starts that differ."""
    generator = torch_stream(seed, "cohort", clients, size)
    start = torch.randn(clients, size, generator=generator)
    return Cohort(
        round=1,
        clients=tuple(range(clients)),
        params=(start + 0.1 * torch.randn(clients, size, generator=generator)).to(dtype),
        start=start.to(dtype),
        num_examples=torch.arange(1, clients + 1),
        steps=torch.arange(1, clients + 1) % 3 + 1,
        space=ParamSpace({"w": (size,)}),
        stream=lambda *names: torch_stream(0, *names),
    )


def aggregated(method, cohort, **options):
    return make(method, options).aggregate({"params": cohort.start[0]}, cohort)["params"]


@pytest.fixture(params=SHAPES, ids=str)
def cohort(request):
    return cohort_of(*request.param)


def test_blocks_cover_the_columns_once():
    for rows, columns in SHAPES:
        blocks = list(fedbench.column_blocks(rows, columns))
        assert [column for block in blocks for column in range(columns)[block]] == list(range(columns))
        assert all((block.stop - block.start) % STEP == 0 for block in blocks[:-1])
        assert max(block.stop - block.start for block in blocks) < 2 * max(STEP, IN_CACHE // rows)


def test_a_cohorts_means_and_sums_have_the_bits_of_the_whole_matrix(cohort):
    weights, updates = cohort.weights, cohort.params - cohort.start
    assert torch.equal(cohort.mean("updates"), weights @ updates)
    assert torch.equal(cohort.mean("updates", per_step=True), (weights / cohort.steps) @ updates)
    assert torch.equal(cohort.sum("updates"), updates.sum(0))
    assert torch.equal(cohort.mean("params"), weights @ cohort.params)
    assert torch.equal(cohort.sum("params"), cohort.params.sum(0))


def test_only_what_is_a_vector_of_each_client_is_read_in_blocks():
    with pytest.raises(ValueError, match="not 'control'"):
        list(cohort_of(2, 3).blocks("control"))


@pytest.mark.parametrize("threads", [1, 2, 3])
def test_median_and_trimmed_mean_have_the_bits_of_a_full_sort(cohort, threads):
    before = torch.get_num_threads()
    torch.set_num_threads(threads)
    try:
        median, trimmed = aggregated("median", cohort), aggregated("trimmed-mean", cohort, beta=0.2)
    finally:
        torch.set_num_threads(before)
    rows = cohort.params.sort(dim=0).values
    count = len(rows)
    assert torch.equal(median, (rows[(count - 1) // 2] + rows[count // 2]) / 2)
    cut = int(0.2 * count)
    assert torch.equal(trimmed, rows[cut : count - cut].mean(0))


def test_the_network_sorts_every_sequence_of_zeros_and_ones():
    """The zero-one principle (Knuth, 5.3.4, theorem Z): it then sorts anything."""
    for rows in range(1, 12):
        values = torch.tensor(list(product((0.0, 1.0), repeat=rows))).T.contiguous()
        assert torch.equal(ordered(values, range(rows)), values.sort(dim=0).values)
        for row in range(rows):
            assert torch.equal(ordered(values, range(row, row + 1))[0], values.sort(dim=0).values[row])


def test_comparators_that_nothing_depends_on_are_left_out():
    assert len(comparators(50, range(24, 26))) < 0.85 * len(network(50))
    assert len(comparators(50, range(50))) == len(network(50))


@pytest.mark.parametrize("clients", [6, NETWORK + 6])
def test_ties_and_infinities_are_ordered_as_numbers(clients):
    values = torch.randint(-2, 3, (clients, 500), generator=torch_stream(0, "ties")).float()
    values[0, ::3], values[1, ::5] = torch.inf, -torch.inf
    for dtype in (torch.float32, torch.float64, torch.bfloat16):
        wanted = values.to(dtype).sort(dim=0).values
        assert torch.equal(ordered(values.to(dtype), range(1, clients - 1)), wanted[1:-1])


def reference(cohort):
    """Squared distances from differences, a pair at a time, in float64."""
    updates = (cohort.params - cohort.start).double()
    return torch.stack([(updates - row).square().sum(1) for row in updates])


def one_step(cohort, own):
    """Every client's update is one step and a part of its own."""
    step = torch.randn(cohort.params.shape[1], generator=torch_stream(0, "step"))
    return replace(cohort, params=cohort.start + step + own * (cohort.params - cohort.start))


def an_outlier_and_two_copies(cohort):
    params, start = cohort.params.clone(), cohort.start.clone()
    params[3] = 1e6
    for copy, original in ((5, 7), (6, 8)):
        params[copy], start[copy] = params[original], start[original]
    return replace(cohort, params=params, start=start)


CLOSE = {
    "updates as they come": lambda cohort: cohort,
    "one step and differences half as large": lambda cohort: one_step(cohort, own=5),
    "one step and tiny differences": lambda cohort: one_step(cohort, own=1e-3),
    "an outlier and copies": an_outlier_and_two_copies,
    "squares beyond fp32": lambda cohort: replace(cohort, params=1e20 * cohort.params),
}


@pytest.mark.parametrize("size", [100, SMALL // 30 + 3000], ids=["small", "large"])
@pytest.mark.parametrize("case", CLOSE)
def test_krum_scores_are_those_of_float64(case, size):
    cohort = CLOSE[case](cohort_of(30, size))
    wanted = reference(cohort)
    torch.testing.assert_close(squared_distances(cohort), wanted, rtol=1e-6, atol=0)
    scores = wanted.fill_diagonal_(torch.inf).sort(dim=1).values[:, :26].sum(1)
    torch.testing.assert_close(krum_scores(cohort, 2), scores, rtol=1e-6, atol=0)
    lowest = scores.argsort()[:1]
    assert torch.equal(aggregated("krum", cohort, f=2), cohort.params[lowest].mean(0))


def test_krum_averages_with_the_bits_of_the_whole_matrix(cohort):
    if len(cohort.clients) > 3:
        chosen = sorted(krum_scores(cohort, 1).argsort()[:3].tolist())
        assert torch.equal(aggregated("multikrum", cohort, f=1, m=3), cohort.params[chosen].mean(0))


def whole_ties(cohort, keep, lam):
    """TIES over the whole matrix."""
    updates, shares = cohort.params - cohort.start, cohort.weights[:, None]
    dropped = updates.shape[1] - max(1, round(keep * updates.shape[1]))
    smallest = updates.abs().kthvalue(dropped + 1, dim=1, keepdim=True).values
    kept = torch.where(updates.abs() >= smallest, updates, 0.0)
    elected = (shares * kept).sum(0).sign()
    voting = shares * ((kept.sign() == elected) & (kept != 0))
    merged = (voting * kept).sum(0) / voting.sum(0).clamp_min(torch.finfo(kept.dtype).tiny)
    return cohort.start[0] + lam * merged


@pytest.mark.parametrize("keep", [0.01, 0.2, 1.0])
def test_ties_has_the_bits_of_the_whole_matrix(cohort, keep):
    wanted = whole_ties(cohort, keep, lam=0.7)
    assert torch.equal(aggregated("fedavg-ties", cohort, keep=keep, lam=0.7), wanted)


def test_ties_keeps_entries_of_the_same_size_alike():
    coarse = cohort_of(4, 5000)
    coarse = replace(coarse, start=coarse.start.round(), params=coarse.start.round() + coarse.params.round())
    assert torch.equal(aggregated("fedavg-ties", coarse), whole_ties(coarse, 0.2, lam=1.0))


def test_dare_has_the_bits_of_the_whole_matrix(cohort):
    size = cohort.params.shape[1]
    drawn = [torch.rand(size, generator=cohort.stream("dare", client)) for client in cohort.clients]
    kept = torch.stack(drawn) >= 0.3
    wanted = cohort.start[0] + cohort.weights @ (kept * (cohort.params - cohort.start) / (1 - 0.3))
    assert torch.equal(aggregated("fedavg-dare", cohort, drop=0.3), wanted)


SECOND = {
    "fedadam": lambda v, squared: 0.99 * v + (1 - 0.99) * squared,
    "fedyogi": lambda v, squared: v - (1 - 0.99) * squared * (v - squared).sign(),
    "fedadagrad": lambda v, squared: v + squared,
}


@pytest.mark.parametrize("method", SECOND)
@pytest.mark.parametrize("size", [1, 1000, 3 * IN_CACHE // 4 + 5])
def test_server_optimisers_have_the_bits_of_whole_vectors_and_leave_the_state_alone(method, size):
    cohort, aggregator = cohort_of(3, size), make(method)
    state = aggregator.initial_state(cohort.start[0], Context(cohort.space, 3, 2))
    x, m, v = (state[name].clone() for name in ("params", "first", "second"))
    for _ in range(2):
        before = {name: vector.clone() for name, vector in state.items()}
        after = aggregator.aggregate(state, cohort)
        assert all(torch.equal(state[name], before[name]) for name in state)
        update = cohort.weights @ (cohort.params - cohort.start)
        m = 0.9 * m + (1 - 0.9) * update
        v = SECOND[method](v, update.square())
        x = x + 1e-2 * m / (v.sqrt() + 1e-3)
        assert [torch.equal(*pair) for pair in zip(after.values(), (x, m, v), strict=True)] == 3 * [True]
        state = after


def test_fedavgm_has_the_bits_of_its_formula_and_leaves_the_state_alone(cohort):
    start, velocity = cohort.start[0].clone(), cohort.start[-1].clone()
    state = {"params": start.clone(), "velocity": velocity.clone()}
    after = make("fedavgm", {"beta": 0.9, "eta": 0.7}).aggregate(state, cohort)
    moved = 0.9 * velocity + cohort.weights @ (cohort.params - cohort.start)
    assert torch.equal(after["velocity"], moved)
    assert torch.equal(after["params"], start + 0.7 * moved)
    assert torch.equal(state["params"], start) and torch.equal(state["velocity"], velocity)


def test_fed_cmp_measures_updates_with_the_bits_of_the_whole_matrix(cohort):
    updates = cohort.params - cohort.start
    wanted = torch.linalg.vector_norm(updates, dim=1, dtype=torch.float64)
    assert torch.equal(update_sizes(cohort), wanted)


@pytest.mark.slow
@pytest.mark.parametrize(
    "method", ["fedavg", "fedavgm", "fedadam", "median", "trimmed-mean", "krum", "fedavg-ties", "fedavg-dare"]
)
def test_a_step_takes_a_tenth_of_the_cohorts_memory_at_most(method):
    size = ["--clients", "50", "--parameters", "2000000"]
    command = [sys.executable, str(ROOT / "benchmarks" / "server_step.py"), method, *size]
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    assert json.loads(done.stdout)["share"] <= 0.1
