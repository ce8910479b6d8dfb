"""Personalised methods are scored by each client's own model on its own test part."""

import json
from pathlib import Path
from shutil import copytree
from statistics import fmean

import pytest
from records_of_ours import PRIMARY, RECORDS, edited

from fedbench.results.comparison import compare, summarise
from fedbench.results.curves import curve
from fedbench.results.own_part import final_scores, own_scores, personalised, round_scores
from fedbench.results.records import Contract, Spread
from fedbench.results.run_summary import run_of
from fedbench.results.store import read_record

LOCAL, FEDAVG = (Path("emoji-tt@1", name, "seed-0", "record.json") for name in ("local", "fedavg"))
MEASURES = {f"{PRIMARY}/{name}" for name in ("own", "worst", "p10", "all")}


@pytest.fixture(scope="module")
def local():
    return read_record(RECORDS / LOCAL)


@pytest.fixture(scope="module")
def fedavg():
    return read_record(RECORDS / FEDAVG)


def test_a_record_from_before_it_was_recorded_says_by_its_items_whether_each_client_has_a_model():
    for path in RECORDS.glob("*/*/seed-0/record.json"):
        record = read_record(path)
        own = record.method.name in ("local", "fedsa-lora")
        assert personalised(record) == personalised(record.model_copy(update={"contract": None})) == own, path


def test_a_record_that_says_so_is_believed(fedavg):
    for own in (False, True):
        contract = Contract(needs="sum", down={}, up={}, personalised=own, shares=[1.0], shares_at_end=[])
        assert personalised(fedavg.model_copy(update={"contract": contract})) == own


def test_the_score_of_local_is_the_mean_over_clients_of_own_models_on_own_items(local):
    own = [measure.value for measure in local.rounds[-1].clients.values()]
    scores = final_scores(local)
    assert scores[PRIMARY] == scores[f"{PRIMARY}/own"]
    assert scores[PRIMARY].value == pytest.approx(fmean(own))
    assert scores[f"{PRIMARY}/worst"].value == min(own)
    assert scores[f"{PRIMARY}/p10"].value == pytest.approx(local.spread.p10)
    assert scores[f"{PRIMARY}/all"] == local.final[PRIMARY]
    assert scores[PRIMARY].n == sum(measure.n for measure in local.rounds[-1].clients.values())
    assert 0 < scores[PRIMARY].se < scores[f"{PRIMARY}/worst"].se


def test_the_score_of_others_is_over_all_items_with_the_own_parts_beside_it(fedavg):
    scores = final_scores(fedavg)
    assert scores[PRIMARY] == fedavg.final[PRIMARY] == scores[f"{PRIMARY}/all"]
    assert scores[f"{PRIMARY}/own"].value == pytest.approx(fedavg.spread.mean)
    assert set(scores) == set(fedavg.final) | MEASURES


def test_every_round_is_scored_alike(local):
    rounds = round_scores(local)
    assert all(set(scores) > MEASURES for scores in rounds)
    assert rounds[-1] | final_scores(local) == final_scores(local)
    drawn = curve(local)
    means = [fmean(measure.value for measure in entry.clients.values()) for entry in local.rounds]
    assert drawn.values == pytest.approx(means)
    assert curve(local, f"{PRIMARY}/all").values[-1] == local.final[PRIMARY].value


def test_lower_is_worse_the_other_way_round(fedavg):
    entry = fedavg.rounds[-1]
    nats = {k: m.__class__(m.value, None, m.n, "nats", "lower") for k, m in entry.clients.items()}
    scores = own_scores(
        entry.model_copy(update={"clients": nats}), PRIMARY, own_models=True, spread=Spread.of(nats)
    )
    assert scores[f"{PRIMARY}/worst"].value == max(m.value for m in nats.values())
    assert scores[PRIMARY].se is None and scores[PRIMARY].better == "lower"


def test_a_personalised_run_whose_clients_were_not_measured_has_no_score(local):
    last = local.rounds[-1].model_copy(update={"clients": {}})
    scores = final_scores(local.model_copy(update={"rounds": [*local.rounds[:-1], last]}))
    assert PRIMARY not in scores


def test_rows_are_scored_so_and_the_gap_is_between_the_anchors(local, fedavg):
    others = [
        read_record(RECORDS / "emoji-tt@1" / n / "seed-0" / "record.json") for n in ("start", "centralized")
    ]
    rows = {row.method: row for row in summarise([local, fedavg, *others])}
    assert rows["local"].mean == pytest.approx(local.spread.mean)
    floor, ceiling = rows["start"].mean, rows["centralized"].mean
    assert rows["local"].gap_closed == pytest.approx((rows["local"].mean - floor) / (ceiling - floor))
    assert rows["local"].worst_client == local.spread.worst


@pytest.mark.parametrize("measure", sorted(MEASURES))
def test_each_is_a_measure_that_can_be_compared_by(measure, local, fedavg):
    rows = compare({"": map(run_of, (local, fedavg))}, [run_of(fedavg)], metric=measure)
    means = {row.summary.method: row.summary.mean for row in rows}
    assert means["local"] == final_scores(local)[measure].value
    assert means["fedavg"] == final_scores(fedavg)[measure].value


def test_the_command_says_who_is_scored_so_and_takes_every_measure(fedbench):
    local, fedavg = (str(RECORDS / place.parent) for place in (LOCAL, FEDAVG))
    code, out, _ = fedbench("compare", local, fedavg)
    assert code == 0 and f"{PRIMARY}, higher is better · own model, own items: local\n" in out
    for name in ("own", "worst", "p10", "all"):
        asked = ["--metric", f"{PRIMARY}/{name}", "--format", "json"]
        code, out, _ = fedbench("compare", local, fedavg, *asked)
        assert code == 0 and {row["metric"] for row in json.loads(out)} == {f"{PRIMARY}/{name}"}
    assert fedbench("compare", fedavg, local, "--fail-on", "accuracy/all:-1%")[0] == 1


def test_a_board_may_rank_by_own_parts(tmp_path, fedbench):
    board = tmp_path / "own.toml"
    board.write_text(
        f"""name = "own"
title = "Own parts"
summary = "each client's own items"
track = "alignment"
scenarios = ["emoji-tt@1"]
primary = "{PRIMARY}/own"
"""
    )
    folder = tmp_path / "records" / "emoji-tt@1"
    for name in ("local", "fedavg", "start", "centralized"):
        copytree(RECORDS / "emoji-tt@1" / name, folder / name)
    asked = ["--records", str(folder.parent), "--format", "json"]
    code, out, _ = fedbench("leaderboard", "show", str(board), *asked)
    assert code == 0 and f"{PRIMARY}/own" in out and '"local"' in out


def test_a_model_for_each_client_takes_a_measure_of_each(verdict_of):
    def claim(record):
        numbers = {"params": 78272}
        shares = {"personalised": True, "shares": [1.0], "shares_at_end": []}
        record["contract"] = {"needs": "sum", "down": numbers, "up": numbers, **shares}

    level, problem = verdict_of(edited(claim))
    assert (level, problem) == (
        "valid", "its clients have a model each, but these were not each measured on all items"
    )  # fmt: skip
