"""What is read off learning curves: steadiness, the way to a target, the gap closed."""

import pytest
from conftest import example_record

from fedbench.api.metrics import Costs, Measure
from fedbench.results.comparison import summarise
from fedbench.results.curves import curve
from fedbench.results.pictures import paths

PRIMARY = "unseen/category/accuracy"


def record(values, method="fedavg", seed=0, better="higher"):
    rounds = [
        {
            "round": number,
            "digest": "0" * 64,
            "metrics": {PRIMARY: Measure(value, 0.01, 100, "share", better)},
            "costs": Costs(uplink_bytes=1_000_000 * (number > 0), client_examples=10 * (number > 0)),
        }
        for number, value in enumerate(values)
    ]
    final = {PRIMARY: Measure(values[-1], 0.01, 100, "share", better)}
    return example_record(method, seed, rounds=rounds, final=final)


def test_instability_is_the_mean_drop_from_the_running_best():
    assert curve(record([0.1, 0.2, 0.3])).instability == 0
    assert curve(record([0.1, 0.4, 0.3, 0.5, 0.2])).instability == pytest.approx((0 + 0.1 + 0 + 0.3) / 4)
    assert curve(record([0.5, 0.3, 0.4], better="lower")).instability == pytest.approx(0.1 / 2)


def test_the_way_to_a_target_counts_what_was_spent():
    found = curve(record([0.1, 0.2, 0.4, 0.3]))
    assert found.reaches(0.35) == 2 and found.uplink[2] == 2_000_000 and found.examples[2] == 20
    assert found.reaches(0.1) == 0 and found.reaches(0.41) is None
    assert curve(record([0.5, 0.3], better="lower")).reaches(0.4) == 1


def test_a_measure_that_was_not_taken_every_round_has_no_curve():
    assert curve(record([0.1, 0.2]), "unseen/name/accuracy") is None


def test_the_gap_closed_is_paired_by_seed():
    records = [
        record([0.1, 0.4], seed=0), record([0.2, 0.3], seed=1),
        record([0.1, 0.7], "centralized", 0), record([0.2, 0.4], "centralized", 1),
    ]  # fmt: skip
    rows = {row.method: row for row in summarise(records)}
    assert rows["fedavg"].gap_closed == pytest.approx((0.5 + 0.5) / 2)
    assert rows["fedavg"].gap_closed_se == pytest.approx(0)
    assert rows["centralized"].gap_closed == 1
    assert rows["fedavg"].target == pytest.approx((0.15 + 0.55) / 2)
    assert rows["fedavg"].reached == 1 and rows["fedavg"].rounds_to_target == 1
    alone = summarise(records[:2])[0]
    assert alone.gap_closed is None and alone.target is None and alone.rounds_to_target is None


def test_an_own_target_wins():
    row = summarise([record([0.1, 0.2, 0.4]), record([0.1, 0.2, 0.3], seed=1)], target=0.35)[0]
    assert (row.reached, row.rounds_to_target, row.uplink_megabytes_to_target) == (1, 2, 2.0)


def test_a_path_goes_through_the_rounds_that_have_both_measures():
    def told(values, seed):
        found = record([0.1] * (len(values) + 1), seed=seed)
        measures = [{}] + [{"a": Measure(v, None, 1, "m"), "b": Measure(-v, None, 1, "m")} for v in values]
        rounds = [e.model_copy(update={"metrics": m}) for e, m in zip(found.rounds, measures, strict=True)]
        return found.model_copy(update={"rounds": rounds})

    panels = {"one": {"mean": [told([1, 2], 0), told([3, 6], 1)], "none": [record([0.1, 0.2])]}, "two": {}}
    drawn, last = paths(panels, "a", "b").axes[0].lines
    assert drawn.get_xydata().tolist() == [[2, -2], [4, -4]] and last.get_xydata().tolist() == [[4, -4]]
