"""Fed-CMP against a literal float64 reference, its identities, and what its equations imply."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from fedbench_fedcmp import canonical, hooks, momentum
from fedbench_fedcmp.canonical import Basis
from fedbench_fedcmp.fedcmp import FedCMP
from fedbench_fedcmp.options import FedCMPOptions
from fedbench_fedcmp.reliability import modality_gap, reliability
from pydantic import ValidationError
from safetensors.torch import load, save
from torch import Tensor

from fedbench import Cohort, LocalRule, MethodSpec, State
from fedbench.api.local_rule import Clients, Signals
from fedbench.params import ParamSpace

SPACE = ParamSpace({"in.weight": (20, 12), "in.bias": (20,), "out.weight": (16, 20), "out.bias": (16,)})
MATRICES = ("in.weight", "out.weight")


@pytest.fixture(autouse=True, scope="module")
def one_thread() -> Iterator[None]:
    """On matrices this small threads only wait for each other: a hundredfold on a busy machine."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


def cohort(
    start: Tensor,
    updates: Tensor,
    *,
    round: int = 1,
    counts: Sequence[int] | None = None,
    gaps: Sequence[float] | None = None,
    space: ParamSpace = SPACE,
) -> Cohort:
    """The round in which client k moved from ``start`` [P] by ``updates[k]`` [P]."""
    clients = len(updates)
    return Cohort(
        round=round,
        clients=tuple(range(clients)),
        params=start + updates,
        start=start.expand(clients, -1),
        num_examples=torch.tensor(counts or [10 + 3 * k for k in range(clients)]),
        steps=torch.full((clients,), 5),
        sent={"modality_gap": torch.tensor(gaps or [0.1 + 0.2 * k for k in range(clients)])},
        space=space,
        stream=lambda *names: torch.Generator().manual_seed(sum(map(len, names))),
    )


def noise(seed: int, *shape: int, scale: float = 0.2) -> Tensor:
    return scale * torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def play(
    options: FedCMPOptions,
    sizes: Sequence[int] = (5, 5, 5),
    state: State | None = None,
    first: int = 1,
) -> tuple[State, Cohort]:
    """Rounds of ``sizes`` clients each; the last state and the last cohort."""
    method = FedCMP(options)
    state = {"params": noise(0, SPACE.size)} if state is None else state
    for number, clients in enumerate(sizes, start=first):
        updates = noise(number, clients, SPACE.size, scale=0.1 + 0.02 * number)
        last = cohort(state["params"], updates, round=number)
        state = method.aggregate(state, last)
    return state, last


def averaged(group: Cohort, shares: Tensor | None = None) -> Tensor:
    shares = group.weights if shares is None else shares
    return shares.double() @ group.params.double()


def assert_close(left: Tensor, right: Tensor, tolerance: float = 1e-6) -> None:
    assert float((left.double() - right.double()).abs().max()) <= tolerance


# --- the printed method, literally ---------------------------------------------------------------


class Reference:
    """Sections A2 and A3 in NumPy: an SVD of the concatenation, each V_k, each flip, by hand."""

    def __init__(self) -> None:
        self.before: dict[str, tuple[np.ndarray, np.ndarray]] = {}

    def step(self, group: Cohort) -> dict[str, np.ndarray]:
        theta, start = group.params.double().numpy(), group.start.double().numpy()
        w = np.linalg.norm(theta - start, axis=1) ** 2 * np.exp(
            -1.0 * group.sent["modality_gap"].double().numpy()
        )
        w = w / w.sum()
        merged = {}
        for name, values in group.space.views(group.params).items():
            clients = values.double().numpy()
            if clients.ndim == 2:
                merged[name] = sum(w[k] * clients[k] for k in range(len(w)))
                continue
            outputs = clients.shape[1]
            u, s, vt = np.linalg.svd(np.concatenate([c.T for c in clients], axis=1), full_matrices=False)
            v = [vt.T[k * outputs : (k + 1) * outputs] for k in range(len(w))]
            if name in self.before:
                u_old, s_old = self.before[name]
                flips = np.where((u_old * u).sum(0) < 0, -1.0, 1.0)
                u, v = u * flips, [block * flips for block in v]
                cos_dis = np.clip(np.mean(1 - (u_old * u).sum(0)), 0, 1)
                beta = 0.5 + (0.9 - 0.5) * (1 - cos_dis)
                p, _, qt = np.linalg.svd(beta * u_old + (1 - beta) * u, full_matrices=False)
                u, s = p @ qt, beta * s_old + (1 - beta) * s
            self.before[name] = (u, s)
            fused = sum(w[k] * v[k] for k in range(len(w)))
            merged[name] = (u @ np.diag(s) @ fused.T).T
        return merged


def test_equals_the_printed_method_over_three_rounds() -> None:
    method, reference = FedCMP(FedCMPOptions()), Reference()
    state: State = {"params": noise(0, SPACE.size)}
    for number in (1, 2, 3):
        group = cohort(state["params"], noise(number, 5, SPACE.size), round=number)
        state = method.aggregate(state, group)
        expected = reference.step(group)
        for name, values in SPACE.views(state["params"]).items():
            assert_close(values, torch.from_numpy(expected[name]))
    assert 0.5 <= state["beta:in.weight"] <= 0.9


# --- identities -----------------------------------------------------------------------------------


def test_with_every_part_off_it_is_fedavg_to_the_bit() -> None:
    state, last = play(FedCMPOptions(csc=False, rwf=False, opm=False))
    assert torch.equal(state["params"], last.weights @ last.params)


@pytest.mark.parametrize("reduction", hooks.REDUCTIONS, ids=lambda r: json.dumps(dict(r.options)))
def test_declared_reductions_hold(reduction: Any) -> None:
    state, last = play(FedCMPOptions(**reduction.options))
    assert_close(state["params"], last.weights @ last.params, reduction.tolerance)


def test_the_canonical_space_alone_is_weighted_averaging() -> None:
    for sizes in ((5, 5), (2, 5), (1, 1)):  # also where KO < I
        state, last = play(FedCMPOptions(opm=False), sizes)
        assert_close(state["params"], averaged(last, state["weights"]))


def test_equal_updates_without_the_gap_are_a_uniform_mean() -> None:
    updates = noise(1, 4, SPACE.size)
    updates = updates / updates.norm(dim=1, keepdim=True)
    group = cohort(noise(0, SPACE.size), updates, counts=[1, 5, 50, 3])
    state = FedCMP(FedCMPOptions(alpha=0, opm=False)).aggregate({"params": group.start[0]}, group)
    assert_close(state["params"], group.params.double().mean(0))


@pytest.mark.parametrize("target", ["weights", "updates"])
def test_a_single_client_is_returned(target: Any) -> None:
    state, last = play(FedCMPOptions(opm=False, target=target), (1, 1))
    assert_close(state["params"], last.params[0])


def test_a_procrustes_rotation_would_undo_momentum() -> None:
    previous, current = (torch.linalg.qr(noise(seed, 9, 9).double()).Q for seed in (1, 2))
    rotation = momentum.orthogonalise(current.T @ previous)
    assert_close(current @ rotation, previous, 1e-10)


# --- the basis ------------------------------------------------------------------------------------


@pytest.mark.parametrize("sizes", [(5, 5, 5), (1, 3, 1, 2), (1, 1, 1)])
@pytest.mark.parametrize("align", ["sign", "match"])
def test_the_basis_is_orthonormal_every_round(sizes: tuple[int, ...], align: Any) -> None:
    state: State | None = None
    for number, clients in enumerate(sizes, start=1):
        state, _ = play(FedCMPOptions(align=align), (clients,), state, number)
        for name in MATRICES:
            inputs, outputs = SPACE.shapes[name][1], SPACE.shapes[name][0]
            directions, scales = state[f"U:{name}"], state[f"S:{name}"]
            assert directions.shape == (inputs, min(inputs, clients * outputs))
            assert scales.shape == directions.shape[1:]
            assert directions.dtype == scales.dtype == torch.float64
            assert momentum.orthogonality_error(directions) < 1e-12
        assert state["params"].isfinite().all()


def test_columns_without_a_predecessor_enter_as_they_are() -> None:
    previous, current = noise(1, 6, 2).double(), noise(2, 6, 4).double()
    mixed = momentum.blend(previous, current, torch.tensor(0.5).double())
    assert torch.equal(mixed[:, 2:], current[:, 2:])
    assert_close(mixed[:, :2], (previous + current[:, :2]) / 2, 1e-12)
    assert momentum.blend(current, previous, torch.tensor(0.5)).shape == previous.shape


def test_flipping_columns_of_the_stored_basis_changes_nothing() -> None:
    """A5.2: signs of singular vectors are arbitrary, so a flip must reach U and every V_k alike."""
    for options in (FedCMPOptions(), FedCMPOptions(align="match"), FedCMPOptions(fuse="ties")):
        state, _ = play(options, (5, 5))
        flipped = dict(state)
        for name in MATRICES:
            signs = torch.ones_like(state[f"S:{name}"])
            signs[::2] = -1
            flipped[f"U:{name}"] = state[f"U:{name}"] * signs
        after, _ = play(options, (5,), state, 3)
        again, _ = play(options, (5,), flipped, 3)
        assert_close(after["params"], again["params"])


def test_flipping_the_basis_without_the_coefficients_destroys_the_weights() -> None:
    weights = noise(1, 3, 20, 12).double()
    basis = canonical.decompose(weights)
    signs = torch.tensor([-1.0, 1.0]).double().repeat(6)
    flipped = Basis(basis.directions * signs, basis.scales)
    both = canonical.reconstruct(flipped, canonical.coefficients(weights[0], flipped))
    alone = canonical.reconstruct(flipped, canonical.coefficients(weights[0], basis))
    assert_close(both, weights[0], 1e-12)
    assert (alone - weights[0]).norm() > 0.5 * weights[0].norm()


def test_matching_follows_a_permuted_and_flipped_basis() -> None:
    current = canonical.decompose(noise(1, 3, 20, 12).double())
    order = torch.randperm(12, generator=torch.Generator().manual_seed(0))
    signs = torch.where(order % 2 == 0, 1.0, -1.0).double()
    shuffled = Basis(current.directions[:, order] * signs, current.scales[order])
    found = momentum.align(shuffled, current, "match")
    assert_close(found.directions, shuffled.directions, 1e-12)
    assert_close(found.scales, shuffled.scales, 1e-12)


@pytest.mark.parametrize("shape", [(3, 20, 12), (1, 5, 12)])
def test_decomposition_is_the_svd(shape: tuple[int, int, int]) -> None:
    weights = noise(1, *shape).double()
    basis = canonical.decompose(weights)
    stacked = np.concatenate([w.T for w in weights.numpy()], axis=1)
    u, s, _ = np.linalg.svd(stacked, full_matrices=False)
    assert_close(basis.scales, torch.from_numpy(s), 1e-10)
    assert_close((torch.from_numpy(u).T @ basis.directions).abs(), torch.eye(len(s)), 1e-8)


def test_rank_deficient_weights_survive() -> None:
    for shape in ((4, 20, 12), (2, 5, 12)):
        weights = noise(1, *shape[:2], 2).double() @ noise(2, 2, 12).double()
        basis = canonical.decompose(weights)
        assert momentum.orthogonality_error(basis.directions) < 1e-12
        assert_close(canonical.reconstruct(basis, canonical.coefficients(weights[0], basis)), weights[0])
        zero = canonical.decompose(torch.zeros(shape).double())
        assert not canonical.coefficients(weights[0], zero).any()


@pytest.mark.parametrize("inner", [2, 5], ids=["deficient", "fewer outputs than inputs"])
def test_null_directions_do_not_sway_momentum(inner: int) -> None:
    """Equal clients span fewer directions than their matrix has; the others would be arbitrary."""
    space = ParamSpace({"in.weight": (inner, 12)} if inner == 5 else {"in.weight": (20, 12)})

    def merged(perturbation: float) -> Tensor:
        state: State = {"params": torch.zeros(space.size)}
        for number in (1, 2, 3):
            low = noise(number, 20 if inner == 2 else 5, inner) @ noise(9 + number, inner, 12)
            moved = low.flatten().repeat(4, 1) + perturbation * noise(99, 4, space.size)
            group = cohort(torch.zeros(space.size), moved, round=number, space=space)
            state = FedCMP(FedCMPOptions()).aggregate(state, group)
        return state["params"]

    assert_close(merged(1e-9), merged(0.0), 1e-6)


def test_truncation_by_rank_and_by_energy() -> None:
    basis = canonical.decompose(noise(1, 3, 20, 12).double())
    assert canonical.truncate(basis, 3).directions.shape == (12, 3)
    assert canonical.truncate(basis, 99).scales.shape == (12,)
    energy = (basis.scales**2).cumsum(0) / (basis.scales**2).sum()
    kept = len(canonical.truncate(basis, 0.8).scales)
    assert energy[kept - 1] >= 0.8 > energy[kept - 2]
    state, last = play(FedCMPOptions(rank=3, opm=False), (5,))
    matrix = SPACE.views(state["params"])["in.weight"]
    assert torch.linalg.matrix_rank(matrix, rtol=1e-5) == 3
    # The truncated mean is the mean projected on the leading left singular vectors of ΔW.
    leading = state["U:in.weight"]
    mean = SPACE.views(averaged(last, state["weights"]))["in.weight"]
    assert_close(matrix, mean @ leading @ leading.T)


def test_polar_factor_is_the_svds_also_when_singular() -> None:
    matrix = noise(1, 8, 5).double()
    left, _, right = torch.linalg.svd(matrix, full_matrices=False)
    assert_close(momentum.orthogonalise(matrix), left @ right, 1e-12)
    matrix[:, 1] = matrix[:, 0]
    assert momentum.orthogonality_error(momentum.orthogonalise(matrix)) < 1e-12


def test_the_rules_of_beta() -> None:
    def beta(shift: float, **options: Any) -> float:
        return float(momentum.momentum(torch.tensor(shift).double(), FedCMPOptions(**options)))

    assert beta(0.25) == pytest.approx(0.8)
    assert beta(0.25, lam=0.5) == pytest.approx(0.7)
    assert beta(0.25, beta_rule="shift") == pytest.approx(0.6)
    assert beta(0.25, beta_rule="fixed", beta=0.3) == pytest.approx(0.3)
    assert momentum.shift(torch.tensor([-1.0, -0.5])) == 1


# --- other merges and targets ---------------------------------------------------------------------


def test_ties_and_dare_without_dropping_are_the_mean() -> None:
    same_sign = noise(1, 3, 4, 5).double().abs()
    shares = torch.tensor([0.2, 0.3, 0.5], dtype=torch.float64)
    mean = canonical.average(same_sign, shares)
    assert_close(canonical.ties(same_sign, shares, keep=1.0), mean, 1e-12)
    assert_close(canonical.dare(same_sign, shares, 0.0, torch.Generator()), mean, 1e-12)


def test_ties_keeps_the_largest_and_elects_a_sign() -> None:
    coordinates = torch.tensor([[[3.0, 0.1, -2.0]], [[1.0, 0.2, 5.0]]]).double()
    merged = canonical.ties(coordinates, torch.tensor([0.5, 0.5]).double(), keep=2 / 3)
    assert merged.tolist() == [[2.0, 0.0, 5.0]]


def test_dare_rescales_what_it_keeps() -> None:
    ones = torch.ones(1, 50, 40).double()
    stream = torch.Generator().manual_seed(1)
    merged = canonical.dare(ones, torch.ones(1).double(), 0.25, stream)
    assert set(merged.flatten().tolist()) == {0.0, 1 / 0.75}
    assert merged.mean() == pytest.approx(1, abs=0.05)


def test_momentum_without_the_canonical_space_acts_on_the_weights() -> None:
    options = FedCMPOptions(csc=False, rwf=False, beta_rule="fixed", beta=0.6)
    before, _ = play(options, (4,))
    after, last = play(options, (4,), before, 2)
    old, mean = SPACE.views(before["params"]), SPACE.views(averaged(last))
    for name, values in SPACE.views(after["params"]).items():
        momentum_acts = name in MATRICES
        expected = 0.6 * old[name] + 0.4 * mean[name] if momentum_acts else mean[name]
        assert_close(values, expected)


def test_updates_as_target_add_to_the_start() -> None:
    state, last = play(FedCMPOptions(target="updates", rank=2), (4,))
    moved = SPACE.views(state["params"] - last.start[0])["out.weight"]
    assert torch.linalg.matrix_rank(moved, rtol=1e-4) == 2


# --- reliability ----------------------------------------------------------------------------------


def test_weights_follow_the_formula() -> None:
    updates = torch.zeros(2, SPACE.size)
    updates[0, 0], updates[1, 1] = 1.0, 3.0
    group = cohort(torch.zeros(SPACE.size), updates, gaps=[1.0, 1.5])

    def ratio(**options: Any) -> float:
        w = reliability(group, FedCMPOptions(**options))
        assert float(w.sum()) == pytest.approx(1)
        return float(w[1] / w[0])

    assert ratio() == pytest.approx(9 * np.exp(-0.5))
    assert ratio(magnitude_power=1, alpha=2) == pytest.approx(3 * np.exp(-1))
    assert ratio(magnitude=False) == pytest.approx(np.exp(-0.5))
    assert ratio(quality=False) == pytest.approx(9)
    assert ratio(quality=False, magnitude=False) == ratio(rwf=False) == pytest.approx(1.3)


def test_a_client_without_an_image_counts_as_one_of_the_mean_gap() -> None:
    """It reports 0, having nothing to measure."""
    updates = torch.eye(3, SPACE.size)
    blind, mean = (
        reliability(cohort(torch.zeros(SPACE.size), updates, gaps=[gap, 1.0, 3.0]), FedCMPOptions())
        for gap in (0.0, 2.0)
    )
    assert torch.equal(blind, mean)
    all_blind = cohort(torch.zeros(SPACE.size), updates, gaps=[0.0, 0.0, 0.0])
    assert_close(reliability(all_blind, FedCMPOptions()), torch.full((3,), 1 / 3, dtype=torch.float64), 1e-9)


def test_huge_gaps_do_not_underflow() -> None:
    group = cohort(torch.zeros(SPACE.size), noise(1, 3, SPACE.size), gaps=[1e4, 1e4 + 1, 3e4])
    w = reliability(group, FedCMPOptions(magnitude=False))
    assert_close(w, torch.tensor([1, np.exp(-1), 0]) / (1 + np.exp(-1)), 1e-9)


def test_when_no_client_moved_examples_count() -> None:
    for options in (FedCMPOptions(), FedCMPOptions(target="updates")):
        start = noise(0, SPACE.size)
        group = cohort(start, torch.zeros(3, SPACE.size), counts=[1, 2, 5])
        state = FedCMP(options).aggregate({"params": start}, group)
        assert state["weights"].tolist() == pytest.approx([1 / 8, 2 / 8, 5 / 8])
        assert_close(state["params"], start)


def test_the_gap_is_a_distance_of_means() -> None:
    visual, text = noise(1, 2, 3, 4, 5), noise(2, 2, 3, 5)
    signals = Signals(visual, text, torch.ones(2, 3))
    difference = visual.mean(2) - text
    assert modality_gap(signals, "l2").shape == (2, 3)
    assert_close(modality_gap(signals, "l2"), difference.norm(dim=-1))
    assert_close(modality_gap(signals, "sq"), difference.norm(dim=-1) ** 2)
    scaled = Signals(7 * text[:, :, None].expand(-1, -1, 4, -1), text, signals.mask)
    assert_close(modality_gap(scaled, "cos"), torch.zeros(2, 3))


def test_the_gap_is_measured_only_when_it_counts() -> None:
    def rule(**options: Any) -> LocalRule:
        return FedCMP(FedCMPOptions(**options)).local_rule(Clients((0, 1), torch.zeros(2, 5)))

    signals = Signals(noise(1, 2, 3, 4, 5), noise(2, 2, 3, 5), torch.ones(2, 3))
    measured = rule(distance="sq").reports["modality_gap"](signals)
    assert torch.equal(measured, modality_gap(signals, "sq"))
    for options in ({"rwf": False}, {"quality": False}, {"alpha": 0}):
        assert rule(**options) == LocalRule()


# --- every option, order, state, log --------------------------------------------------------------

CORNERS = [dict(zip(("csc", "rwf", "opm"), on, strict=True)) for on in product((True, False), repeat=3)]
VALUES: list[dict[str, Any]] = [
    {"magnitude": False},
    {"quality": False},
    {"alpha": 0},
    {"magnitude_power": 1},
    {"distance": "cos"},
    {"beta_rule": "shift", "lam": 2},
    {"beta_rule": "fixed", "beta": 1.0},
    {"beta_min": 0.0, "beta_max": 1.0},
    {"align": "match"},
    {"rank": 4},
    {"rank": 0.9, "align": "match"},
    {"target": "updates"},
    {"target": "updates", "csc": False},
    {"fuse": "ties"},
    {"fuse": "ties", "ties_keep": 1.0, "target": "updates"},
    {"fuse": "dare"},
    {"fuse": "dare", "dare_drop": 0.5, "rank": 6},
]


@pytest.mark.parametrize("options", CORNERS + VALUES, ids=json.dumps)
def test_every_option_runs_logs_and_resumes(options: Mapping[str, Any]) -> None:
    chosen = FedCMPOptions(**options)
    state, last = play(chosen, (5, 3, 4))
    assert state["params"].shape == (SPACE.size,)
    assert state["params"].dtype == torch.float32
    assert all(value.isfinite().all() for value in state.values())

    log = FedCMP(chosen).diagnostics(state)
    assert json.loads(json.dumps(log, allow_nan=False)) == log
    assert log["clients"] == list(last.clients)
    assert sum(log["weights"]) == pytest.approx(1)
    if chosen.opm:
        assert {f"{kind}:in.weight" for kind in ("beta", "cos_dis", "mean_abs_cos")} <= set(log)
    if chosen.csc:
        assert log["orthogonality:out.weight"] < 1e-12
        assert isinstance(log["rank:out.weight"], int)

    resumed = load(save(dict(state)))
    after, _ = play(chosen, (5,), state, 4)
    again, _ = play(chosen, (5,), resumed, 4)
    assert after.keys() == again.keys()
    assert all(torch.equal(after[key], again[key]) for key in after)


@pytest.mark.parametrize("options", [{}, {"fuse": "ties"}, {"csc": False}, {"align": "match"}])
def test_the_order_of_clients_does_not_matter(options: Mapping[str, Any]) -> None:
    method = FedCMP(FedCMPOptions(**options))
    state, _ = play(method.options, (5,))
    updates, gaps, counts = noise(9, 4, SPACE.size), [0.2, 1.0, 0.5, 0.1], [3, 9, 4, 1]
    order = [2, 0, 3, 1]
    results = [
        method.aggregate(
            state,
            cohort(
                state["params"],
                updates[pick],
                gaps=[gaps[k] for k in pick],
                counts=[counts[k] for k in pick],
            ),
        )
        for pick in ([0, 1, 2, 3], order)
    ]
    assert_close(results[0]["params"], results[1]["params"])
    assert_close(results[0]["weights"][order], results[1]["weights"], 1e-12)


def test_the_first_round_logs_no_momentum() -> None:
    state, _ = play(FedCMPOptions(), (3,))
    log = FedCMP(FedCMPOptions()).diagnostics(state)
    assert not [key for key in log if key.startswith(("beta", "cos_dis", "mean_abs_cos"))]
    assert FedCMP(FedCMPOptions()).diagnostics({"params": torch.zeros(1)}) == {}


# --- options and registration ---------------------------------------------------------------------


@pytest.mark.parametrize(
    "wrong",
    [
        {"alpha": -1},
        {"beta_min": 0.9, "beta_max": 0.5},
        {"beta_max": 1.1},
        {"beta": -0.1},
        {"lam": 0},
        {"rank": 0},
        {"rank": 1.0},
        {"rank": -0.5},
        {"rank": True},
        {"magnitude_power": 3},
        {"distance": "l1"},
        {"fuse": "ties", "csc": False},
        {"rank": 4, "csc": False},
        {"ties_keep": 0},
        {"dare_drop": 1},
        {"unknown": 1},
    ],
    ids=str,
)
def test_wrong_options_are_refused(wrong: Mapping[str, Any]) -> None:
    with pytest.raises(ValidationError):
        FedCMPOptions(**wrong)


def test_options_are_described_also_in_the_readme() -> None:
    readme = (Path(hooks.__file__).parents[1] / "README.md").read_text(encoding="utf-8")
    for name, field in FedCMPOptions.model_fields.items():
        assert field.description
        words = {"True": "true", "None": "none"}
        default = words.get(str(field.default), field.default)
        assert f"| `{name}` | {default} |" in readme


def test_registration_is_light() -> None:
    (spec,) = hooks.fedbench_register_methods()
    assert isinstance(spec, MethodSpec)
    assert (spec.name, spec.track, spec.options) == ("fed-cmp", "alignment", FedCMPOptions)
    code = "import sys, fedbench_fedcmp.hooks; sys.exit(int('torch' in sys.modules))"
    subprocess.run([sys.executable, "-c", code], check=True, env={"PYTHONPATH": ":".join(sys.path)})
