"""Faults: what a scenario asks for happens, the same to every method, and nothing bad gets through."""

import numpy as np
import pytest
import torch

from fedbench.api.aggregator import Aggregator
from fedbench.api.scenario import Faults
from fedbench.catalog import Catalog
from fedbench.data.items import Pair
from fedbench.data.label_flip import flipped
from fedbench.federation.faults import HUGE, FaultModel
from fedbench.federation.local import LocalWork
from fedbench.federation.schedule import NO_FAULTS
from fedbench.jobs import plan_jobs
from fedbench.plugins import Plugins
from fedbench.results.store import read_record
from fedbench.runner import Runner, choose_device
from fedbench.testing import ToyTask, toy_rounds
from fedbench.testing.contracts import make

CLIENTS, ROUNDS = 6, 12
TASK = ToyTask(examples=CLIENTS * ROUNDS * 3)
WAITS = "late, for the next round"
WHYS = {"dropped out", "still at the round before", WAITS, "not finite"}


class ProgressCallbacks(Aggregator):
    """FedAvg that keeps every cohort it was given."""

    def __init__(self):
        self.seen = []

    def aggregate(self, state, cohort):
        self.seen.append(cohort)
        return {"params": cohort.weights @ cohort.params}


def run(method, faults=NO_FAULTS, **more):
    return toy_rounds(
        method, task=TASK, shards=TASK.shards(CLIENTS), **{"rounds": ROUNDS, "faults": faults, **more}
    )


def watched(**faults):
    method = ProgressCallbacks()
    return method.seen, run(method, Faults(**faults))


def whys(rounds, why):
    return [(r.after.round, client) for r in rounds for client, said in r.left_out.items() if said == why]


def test_no_faults_are_the_same_as_none_asked_for():
    plain, asked = run(make("fedavg")), run(make("fedavg"), Faults())
    assert [r.digest for r in plain] == [r.digest for r in asked]


def test_rates_are_met_and_streams_are_the_seeds():
    model = FaultModel(Faults(dropout=0.3, straggling=0.1), seed=0, clients=50)
    dropped = [(r, c) for r in range(100) for c in model.dropped(r, range(50))]
    late = [(r, c) for r in range(100) for c in model.late(r, range(50))]
    assert abs(len(dropped) / 5000 - 0.3) < 0.03 and abs(len(late) / 5000 - 0.1) < 0.02
    both = len(set(dropped) & set(late)) / 5000
    assert abs(both - 0.03) < 0.01, "independent of each other"
    again = FaultModel(Faults(dropout=0.3), seed=1, clients=50)
    assert dropped != [(r, c) for r in range(100) for c in again.dropped(r, range(50))]


def test_every_method_meets_the_same_faults():
    faults = Faults(dropout=0.2, straggling=0.2, corruption=0.2, late="next-round", corrupted=("nan",))
    seen = [
        [(r.left_out, r.came_late) for r in run(make(m), faults)]
        for m in ("fedavg", "scaffold", "fed-cmp", "median")
    ]
    assert all(one == seen[0] for one in seen)
    assert {why for left_out, _ in seen[0] for why in left_out.values()} >= {"dropped out", WAITS}


def test_a_client_that_drops_out_costs_nothing_and_is_not_merged():
    seen, rounds = watched(dropout=0.4)
    missing = whys(rounds, "dropped out")
    assert missing and not {(c.round, client) for c in seen for client in c.clients} & set(missing)
    for r in rounds:
        there = CLIENTS - len(r.left_out)
        assert r.costs.uplink_bytes == there * 4 * TASK.space.size and r.costs.client_examples == there * 3


def test_late_updates_are_dropped():
    seen, rounds = watched(straggling=0.4)
    assert whys(rounds, "late") and not any(r.came_late or r.after.late for r in rounds)
    merged = {(c.round, client) for c in seen for client in c.clients}
    assert not merged & set(whys(rounds, "late"))


def test_late_updates_are_taken_in_the_next_round_instead_of_new_ones():
    honest, _ = watched()
    seen, rounds = watched(straggling=0.4, late="next-round")
    broadcast = [TASK.init(), *(r.after.state["params"] for r in rounds)]
    merged = {cohort.round: cohort for cohort in seen}
    late = [(r, c) for r, c in whys(rounds, WAITS) if r < ROUNDS]
    assert len(late) > 5
    for number, client in late:
        after = rounds[number]  # rounds[0] is round 1
        assert client in after.came_late and after.left_out[client] == "still at the round before"
        row = merged[number + 1].clients.index(client)
        assert torch.equal(merged[number + 1].start[row], broadcast[number]), "a step from the present model"
        if number == 1:  # what it preferences is what it would have sent in time
            found = merged[2].updates[row]
            torch.testing.assert_close(found, honest[0].updates[client], rtol=0, atol=1e-6)
    assert any(number == 1 for number, _ in late)
    for cohort in seen:
        assert list(cohort.clients) == sorted(set(cohort.clients)), "each once, in id order"


@pytest.mark.parametrize(
    ("method", "options"),
    [("fedavg-ta", {"lam": 1.0}), ("fedavgm", {"beta": 0.0}), ("fedavg-dare", {"drop": 0.0})],
)
def test_identities_hold_with_late_updates(method, options):
    faults = Faults(straggling=0.4, late="next-round", dropout=0.2)
    same = run(make(method, options), faults)[-1].after.state["params"]
    torch.testing.assert_close(same, run(make("fedavg"), faults)[-1].after.state["params"], rtol=0, atol=1e-5)


def test_late_updates_survive_a_stop_and_a_resume():
    faults = Faults(straggling=0.5, late="next-round", dropout=0.2)
    for name in ("fedavg", "scaffold", "moon", "fedadam", "fed-cmp"):
        whole = run(make(name), faults)
        stop = next(i for i, r in enumerate(whole) if r.after.late)
        rest = run(make(name), faults, resume=whole[stop].after)
        assert [r.digest for r in whole[stop + 1 :]] == [r.digest for r in rest], name


@pytest.mark.parametrize("kind", ["nan", "inf"])
def test_rubbish_never_reaches_the_aggregator(kind):
    seen, rounds = watched(corruption=0.4, corrupted=(kind,))
    bad = whys(rounds, "not finite")
    assert bad and all(cohort.params.isfinite().all() for cohort in seen)
    assert not {(c.round, client) for c in seen for client in c.clients} & set(bad)


def test_a_huge_update_is_finite_and_gets_through():
    """Only a robust method helps against it."""
    honest, _ = watched()
    seen, rounds = watched(corruption=0.3, corrupted=("huge",))
    assert not rounds[0].left_out
    longest = seen[0].updates.norm(dim=1).max() / honest[0].updates.norm(dim=1).max()
    assert float(longest) == pytest.approx(HUGE, rel=0.5)


def test_a_round_in_which_all_drop_out_keeps_the_model():
    _, rounds = watched(dropout=1.0)
    assert len(rounds) == ROUNDS and len({r.digest for r in rounds}) == 1
    assert all(len(r.left_out) == CLIENTS and r.loss is None and not r.costs.uplink_bytes for r in rounds)


def test_nothing_travels_nothing_is_struck():
    faults = Faults(dropout=0.9, byzantine=0.4)
    for name in ("local", "centralized"):
        rounds = run(make(name), faults)
        assert not any(r.left_out or r.attackers for r in rounds), name


def test_sign_flip_sends_the_opposite():
    honest, _ = watched()
    seen, rounds = watched(byzantine=0.34, attack="sign-flip", strength=3.0)
    attackers = rounds[0].attackers
    assert len(attackers) == 2 and {r.attackers for r in rounds} == {attackers}, "the whole run long"
    for row, client in enumerate(seen[0].clients):
        factor = -3.0 if client in attackers else 1.0
        wanted = factor * honest[0].updates[row]
        torch.testing.assert_close(seen[0].updates[row], wanted, rtol=1e-4, atol=1e-6)


def test_gaussian_noise_has_the_asked_length_and_no_direction():
    honest, _ = watched()
    seen, rounds = watched(byzantine=0.2, attack="gaussian", strength=2.0)
    (attacker,) = rounds[0].attackers
    sent, wanted = seen[0].updates[attacker], honest[0].updates[attacker]
    assert float(sent.norm() / wanted.norm()) == pytest.approx(2, rel=1e-4)
    assert abs(torch.cosine_similarity(sent, wanted, dim=0)) < 0.5
    assert not torch.equal(seen[1].updates[attacker], sent)


def test_label_flip_trains_on_the_wrong_twins():
    model = FaultModel(Faults(byzantine=0.4, attack="label-flip"), seed=0, clients=5)
    work = [LocalWork(k, np.arange(3) + 10 * k, 0, 1) for k in range(5)]
    for before, after in zip(work, model.poisoned(work, label_flip_offset=100), strict=True):
        shift = 100 if before.client in model.byzantine else 0
        assert (after.examples == before.examples + shift).all()


def test_attackers_leave_honest_updates_alone():
    honest, _ = watched()
    for attack in ("sign-flip", "gaussian"):
        seen, rounds = watched(byzantine=0.34, attack=attack, strength=9.0)
        others = [k for k in range(CLIENTS) if k not in rounds[0].attackers]
        assert torch.equal(seen[0].params[others], honest[0].params[others])


def test_flipped_pairs_have_another_answer_to_the_same_question():
    pairs = [
        Pair(0, "which category?", "animals"), Pair(1, "which category?", "food"),
        Pair(2, "which category?", "objects"), Pair(3, "is it a cat?", "yes"), Pair(4, "is it red?", "no"),
    ]  # fmt: skip
    label_flip_offset = flipped(pairs)
    assert [(p.image, p.prompt) for p in label_flip_offset] == [(p.image, p.prompt) for p in pairs]
    assert [p.answer for p in label_flip_offset] == ["food", "objects", "animals", "no", "yes"]


@pytest.mark.parametrize("method", ["median", "trimmed-mean", "krum", "multikrum"])
def test_robust_methods_stay_near_the_honest_mean(method):
    """Two of ten attack a hundredfold; the plain mean is thrown off, a robust one is not."""
    task = ToyTask(examples=200)
    faults = Faults(byzantine=0.2, attack="sign-flip", strength=100.0)
    options = {"krum": {"f": 2}, "multikrum": {"f": 2}}.get(method, {})

    def away(aggregator, faults):
        last = toy_rounds(aggregator, task=task, shards=task.shards(10), rounds=3, faults=faults)[-1]
        return (last.after.state["params"] - task.init()).norm()

    honest = away(make("fedavg"), NO_FAULTS)
    assert away(make("fedavg"), faults) > 10 * honest
    assert away(make(method, options), faults) < 2 * honest


def test_the_reasons_are_the_documented_ones():
    _, rounds = watched(dropout=0.3, straggling=0.3, corruption=0.3, corrupted=("inf",), late="next-round")
    assert {why for r in rounds for why in r.left_out.values()} == WHYS


def test_a_scenario_with_faults_runs_and_its_record_says_what_happened(tiny, tmp_path):
    """The real task; label-flip attackers learn other answers, so the model differs from the clean one."""
    asked = {"faults.straggling": 0.4, "faults.late": "next-round", "federation.rounds": 4}
    attack = {"faults.byzantine": 0.34, "faults.attack": "label-flip"}
    catalog = Catalog(Plugins(strict=True))
    runner = Runner(catalog, choose_device("cpu"), "serial")

    def record(changes):
        (job,) = plan_jobs(
            catalog, methods=["fedavg"], scenarios=["tiny"], seeds=[0], options={}, changes=changes,
            output=tmp_path,
        )  # fmt: skip
        return read_record(runner.run(job))

    clean, struck, flipped_too = record({"federation.rounds": 4}), record(asked), record(asked | attack)
    reasons = [why for entry in struck.rounds for why in entry.left_out.values()]
    assert reasons.count(WAITS) == struck.left_out[WAITS] > 0 and any(e.came_late for e in struck.rounds)
    assert len({r.rounds[-1].digest for r in (clean, struck, flipped_too)}) == 3
    assert len({client for entry in flipped_too.rounds for client in entry.attackers}) == 1
    assert not any(entry.attackers for entry in struck.rounds)
