"""Only like is compared with like: records of other data, or of other arithmetic, are kept apart."""

import pytest
from conftest import example_record

from fedbench.analysis import compare
from fedbench.errors import UsageError
from fedbench.leaderboard.boards import find_board
from fedbench.leaderboard.contest import open_board
from fedbench.leaderboard.eligibility import eligible
from fedbench.results.run_summary import run_of
from fedbench.results.settings import completed_settings, setting_of
from fedbench.results.store import write_record


def identity(data="a", partition="p", backbone="b", numerics=1):
    return {
        "data_sha256": data * 64,
        "partition_sha256": partition * 64,
        "backbone_sha256": backbone * 64,
        "numerics": numerics,
    }


def record(method="fedavg", seed=0, value=0.5, **of):
    return example_record(method, seed, value, identity=identity(**of) if of else None)


@pytest.mark.parametrize(
    "other, differs",
    [
        ({"data": "c"}, "data (aaaaaaaa and cccccccc)"),
        ({"partition": "c"}, "partition (pppppppp and cccccccc)"),
        ({"backbone": "c"}, "backbone (bbbbbbbb and cccccccc)"),
        ({"numerics": 2}, "numerics (1 and 2)"),
    ],
)
def test_seeds_of_different_settings_are_no_average(other, differs):
    """A caption corrected between two seeds: two rows in two tables, and a line that says why."""
    result = compare([[record(seed=0, data="a"), record(seed=1, value=0.9, **{"data": "a"} | other)]])
    assert [row.summary.seeds for row in result.rows] == [(1,), (0,)]
    assert len(result.tables) == 2 and len({table.scenario for table in result.tables}) == 2
    assert result.left_out == (f"compared apart: runs of made-up@1 differ in their {differs}",)


def test_a_record_from_before_content_was_hashed_is_compared_with_new_ones_of_the_same_data():
    result = compare(
        [[record(seed=0), record(seed=1, data="a"), record("mine", seed=0, value=0.7, data="a")]]
    )
    assert sorted(row.summary.seeds for row in result.rows) == [(0,), (0, 1)] and not result.left_out
    old, one, two = (setting_of(record(**of)) for of in ({}, {"data": "a"}, {"data": "c"}))
    assert completed_settings([old, one])[old] == one
    assert completed_settings([old, one, two])[old] == old, "of which of the two nobody knows"


def test_methods_on_different_data_are_not_held_against_each_other():
    with pytest.raises(UsageError, match="no scenario and seed in common"):
        compare([record(data="a"), record("mine", data="c")], against="fedavg")


def test_the_same_data_under_another_name_is_the_same_data():
    """In another folder, or as a data set of one's own that gives itself another fingerprint."""
    theirs = record("mine", value=0.7, data="a")
    renamed = theirs.data.model_copy(update={"name": "copy", "fingerprint": "e"})
    theirs = theirs.model_copy(update={"data": renamed}).sealed()
    (row, _) = compare([record(data="a"), theirs], against="fedavg").rows
    assert row.difference is not None


def test_a_board_ranks_records_of_one_setting(catalog):
    contest = open_board(find_board("alignment-nano", catalog), catalog)
    here = next(scenario for scenario in contest.scenarios if scenario.name == "emoji-ii")
    scenario = {"name": "emoji-ii", "version": int(here.title.split("@")[1]), "fingerprint": here.fingerprint}

    def of(method, seed, **what):
        one = record(method, seed, **what)
        info = one.scenario.model_copy(update=scenario)
        measures = {here.metric: next(iter(one.final.values()))}
        return run_of(one.model_copy(update={"scenario": info, "final": measures}).sealed())

    runs = [of("fedavg", seed, data="a") for seed in range(3)] + [of("moon", 0, data="c"), of("moon", 1)]
    counting, left_out = eligible(contest, runs, {})
    assert {(run.method.name, run.seed) for run in counting} == {("fedavg", s) for s in range(3)} | {
        ("moon", 1)
    }
    ((run, why),) = [(item.run, item.why) for item in left_out]
    assert run.method.name == "moon" and why.startswith("most records of the scenario are of another data")


def test_compare_prints_why_records_are_apart(tmp_path, fedbench):
    for seed, data in ((0, "a"), (1, "c")):
        write_record(tmp_path / "made-up@1" / "fedavg" / f"seed-{seed}", record(seed=seed, data=data))
    code, out, err = fedbench("compare", tmp_path)
    assert code == 0 and out.count("fedavg") == 2 and "compared apart" in err
