"""``fedbench compare``: differences paired by seed, verdicts, bounds, pictures, methods by name."""

import json

import pytest
from conftest import example_record
from records_of_ours import RECORDS
from scipy.stats import ttest_rel

from fedbench.api.metrics import Measure
from fedbench.errors import UsageError
from fedbench.results.comparison import compare, difference
from fedbench.results.guards import Guard
from fedbench.results.run_summary import run_of
from fedbench.results.store import write_record

METRIC = "unseen/category/accuracy"
OURS, THEIRS = (0.61, 0.64, 0.66), (0.50, 0.52, 0.55)


def records(method, values, better="higher", **changes):
    found = []
    for seed, value in enumerate(values):
        measured = {METRIC: Measure(value, 0.01, 100, "share", better)}
        rounds = [
            {"round": n, "digest": str(n) * 64, "metrics": measured, "clients": {"0": measured[METRIC]}}
            for n in range(2)
        ]
        found.append(example_record(method, seed, rounds=rounds, final=measured, **changes))
    return found


def runs(*arguments, **changes):
    return [run_of(record) for record in records(*arguments, **changes)]


@pytest.fixture
def folders(tmp_path):
    """A folder of records as a leaderboard's: better, worse, alike; three seeds."""
    values = {"fedavg": THEIRS, "good": OURS, "bad": (0.40, 0.43, 0.44), "alike": (0.51, 0.51, 0.55)}
    for method, found in values.items():
        for record in records(method, found):
            write_record(tmp_path / "records" / "made-up@1" / method / f"seed-{record.seed}", record)
    return tmp_path / "records"


def test_a_difference_is_paired_by_seed():
    found = difference(runs("good", OURS), runs("fedavg", THEIRS), METRIC)
    exact = ttest_rel(OURS, THEIRS).confidence_interval()
    assert (found.interval.low, found.interval.high) == pytest.approx((exact.low, exact.high), abs=2e-3)
    assert found.seeds == (0, 1, 2) and found.verdict == "better" and found.against == "fedavg"
    assert found.relative == pytest.approx(found.interval.mean / (1.57 / 3))
    assert found.effect == pytest.approx(found.interval.mean / 0.005773502)
    part = difference(runs("good", OURS[:2]), runs("fedavg", THEIRS)[1:], METRIC)
    assert part.seeds == (1,) and part.verdict == "can't tell" and part.interval.low is None
    assert difference(runs("good", OURS[:1]), runs("fedavg", THEIRS)[1:], METRIC) is None


def test_less_is_better_where_it_is():
    lower = difference(runs("good", OURS, "lower"), runs("fedavg", THEIRS, "lower"), METRIC)
    assert lower.verdict == "worse" and lower.interval.mean > 0


def test_equal_runs_have_no_effect_and_no_verdict():
    found = difference(runs("good", THEIRS), runs("fedavg", THEIRS), METRIC)
    assert (found.interval.mean, found.effect, found.relative, found.verdict) == (0, None, 0, "can't tell")


def test_the_reference_is_not_held_against_itself():
    reference = runs("fedavg", THEIRS)
    rows = compare({"": [*reference, *runs("good", OURS)]}, reference)
    assert [(row.summary.method, row.difference is None) for row in rows] == [
        ("good", False),
        ("fedavg", True),
    ]


def test_the_others_are_held_against_the_first(fedbench, folders):
    code, out, err = fedbench("compare", "fedavg", "good", "bad", "alike", "--records", folders)
    assert (code, err) == (0, "")
    verdicts = {
        line.split()[0]: line.rsplit("  ", 1)[-1].strip() for line in out.splitlines() if "3  " in line
    }
    assert {m: verdicts[m] for m in ("good", "bad", "alike")} == {
        "good": "better", "bad": "worse", "alike": "can't tell"
    }  # fmt: skip
    assert "vs fedavg" in out and "+0.1133 [" in out
    _, out, _ = fedbench("compare", "fedavg", "good", "--records", folders, "--format", "json")
    rows = {row["method"]: row["difference"] for row in json.loads(out)}
    assert rows["fedavg"] is None and rows["good"]["verdict"] == "better"
    assert rows["good"]["interval"]["n"] == 3 and rows["good"]["effect"] > 10
    _, out, _ = fedbench("compare", "fedavg", "good", "--records", folders, "--format", "markdown")
    assert "| method   |" in out and "| better    |" in out


def test_the_same_method_from_elsewhere_has_a_row_of_its_own(fedbench, folders, tmp_path):
    """Old runs against new ones, also if there are more of the new, or other methods among them."""
    for record in records("good", [*(0.5 * value for value in OURS), 0.3]):
        write_record(tmp_path / "new" / "good" / f"seed-{record.seed}", record)
    old, new = folders / "made-up@1" / "good", tmp_path / "new"
    code, out, err = fedbench("compare", old, new, "--fail-on", "accuracy:-1%")
    assert code == 1 and f"good ({new})" in out and "-50.00% against good" in err
    _, out, _ = fedbench("compare", "good", folders, new, "--records", folders, "--format", "json")
    rows = {(row["method"], row["source"]): row for row in json.loads(out)}
    others = {(method, "") for method in ("bad", "alike", "fedavg")}
    assert set(rows) == {("good", "good"), ("good", str(new)), *others}, "the same records are no others"
    assert rows["good", str(new)]["difference"]["verdict"] == "worse"


def test_a_folder_is_shown_whole_beside_one_it_shares_records_with(fedbench, folders, tmp_path):
    """Seed 2 was run again: the reference keeps its three seeds, and each folder its own anchors."""
    old, new = folders / "made-up@1", tmp_path / "new"
    for method, values in {"start": (0.1, 0.1, 0.1), "centralized": (0.9, 0.9, 0.9)}.items():
        for record in records(method, values):
            write_record(new / method / f"seed-{record.seed}", record)
            if record.seed == 0:
                write_record(old / method / "seed-0", record)
    for record in records("fedavg", (*THEIRS[:2], 0.7)):
        write_record(new / "fedavg" / f"seed-{record.seed}", record)
    code, out, _ = fedbench("compare", old, new, "--against", old / "fedavg", "--format", "json")
    rows = {(row["method"], row["source"]): row for row in json.loads(out)}
    assert code == 0 and rows["fedavg", str(old)]["seeds"] == rows["fedavg", str(new)]["seeds"] == [0, 1, 2]
    assert rows["fedavg", str(new)]["difference"]["seeds"] == [2]
    assert sorted(rows["fedavg", str(new)]["gaps"]) == ["0", "1", "2"]


def test_parts_of_one_method_are_one_row(fedbench, folders):
    parts = sorted((folders / "made-up@1" / "good").iterdir())
    code, out, err = fedbench("compare", *parts, folders / "made-up@1" / "bad", "--format", "json")
    rows = {row["method"]: row for row in json.loads(out)}
    assert (code, err) == (0, "") and rows["good"]["seeds"] == [0, 1, 2] and rows["good"]["source"] == ""


def test_two_records_of_a_seed_in_one_place_are_no_choice_of_ours(fedbench, folders, tmp_path):
    for value in OURS[:2]:
        (record,) = records("good", [value])
        write_record(tmp_path / "both" / f"{value}", record)
    code, out, err = fedbench("compare", tmp_path / "both")
    assert (code, out) == (2, "") and "two records of good on made-up@1 with seed 0" in err


def test_another_reference_by_path(fedbench, folders):
    bad = folders / "made-up@1" / "bad"
    code, out, _ = fedbench("compare", folders, "--against", bad, "--format", "json")
    rows = {row["method"]: row["difference"] for row in json.loads(out)}
    assert code == 0 and rows["bad"] is None and rows["fedavg"]["verdict"] == "better"
    code, _, err = fedbench("compare", folders, "--against", folders)
    assert code == 2 and "it holds 4 methods or option sets, name one" in err


def test_a_folder_of_methods_is_a_table_as_before(fedbench, folders):
    _, out, _ = fedbench("compare", folders)
    assert "verdict" not in out and out.count("made-up@1") == 1


@pytest.mark.parametrize(
    ("bounds", "code", "said"),
    [
        (["accuracy:-1%"], 1, f"bad on made-up@1: {METRIC} -19.11% against fedavg, beyond -1 % (worse)"),
        ([f"{METRIC}:-0.2"], 0, ""),
        (["accuracy:-25%"], 0, ""),
        (["accuracy:-0.05"], 1, "accuracy -0.1000 against fedavg, beyond -0.05 (worse)"),
        (["accuracy:-0%"], 1, f"bad on made-up@1: {METRIC} -19.11% against fedavg, beyond -0 % (worse)"),
        (["accuracy:+0"], 1, f"good on made-up@1: {METRIC} +0.1133 against fedavg, beyond +0 (better)"),
        (["accuracy:+20%"], 1, f"good on made-up@1: {METRIC} +21.66% against fedavg, beyond +20 %"),
    ],
)  # fmt: skip
def test_bounds_on_a_change(fedbench, folders, bounds, code, said):
    arguments = [part for bound in bounds for part in ("--fail-on", bound)]
    found, out, err = fedbench("compare", "fedavg", "good", "bad", "--records", folders, *arguments)
    assert found == code and said in err and "verdict" in out and err.count("\n") == bool(said)


@pytest.mark.parametrize(
    "text", ["accuracy", "accuracy:1%", "accuracy:-x", ":-1%", "a:b:-1%", "accuracy:-1%%"]
)
def test_bounds_that_are_none(text):
    with pytest.raises(UsageError, match="is not METRIC:CHANGE"):
        Guard.parse(text)


def test_a_bound_needs_a_metric_and_something_to_hold_against(fedbench, folders):
    code, _, err = fedbench("compare", folders, "--fail-on", "accuracy:-1%")
    assert code == 2 and "there is nothing to compare with" in err
    code, _, err = fedbench("compare", "fedavg", "bad", "--records", folders, "--fail-on", "luck:-1%")
    assert code == 2 and "it fits no metric of the records" in err


def test_any_change_is_more_than_a_share_of_nothing(fedbench, tmp_path):
    for method, values in {"fedavg": (0.0,) * 3, "bad": (0.9,) * 3, "same": (0.0,) * 3}.items():
        for record in records(method, values, better="lower"):
            write_record(tmp_path / method / f"{record.seed}", record)
    arguments = ("compare", tmp_path / "fedavg", tmp_path / "bad", tmp_path / "same")
    code, _, err = fedbench(*arguments, "--fail-on", "accuracy:+1%")
    assert code == 1 and err == f"bad on made-up@1: {METRIC} +0.9000 against fedavg, beyond +1 % (worse)\n"


def test_a_bound_that_holds_a_row_against_nothing_does_not_pass(fedbench, folders, tmp_path):
    for record in records("later", OURS):
        moved = record.model_copy(update={"seed": record.seed + 7}).sealed()
        write_record(tmp_path / "later" / f"{moved.seed}", moved)
    known = [folders / "made-up@1" / name for name in ("fedavg", "good")]
    code, _, err = fedbench("compare", *known, tmp_path / "later", "--fail-on", "accuracy:-1%")
    assert code == 2 and "later on made-up@1 is held against nothing" in err


def test_more_seeds_of_the_reference_are_nothing_to_hold_against_it(fedbench, folders, tmp_path):
    for record in records("fedavg", (*THEIRS, 0.6, 0.7)):
        write_record(tmp_path / "more" / "made-up@1" / "fedavg" / f"seed-{record.seed}", record)
    bound = ("--fail-on", "accuracy:-1%")
    code, _, err = fedbench("compare", folders / "made-up@1" / "fedavg", tmp_path / "more", folders, *bound)
    assert code == 1 and err.startswith("bad on made-up@1") and err.count("\n") == 1


def test_one_name_from_two_plugins_is_two_names(fedbench, folders, tmp_path):
    provider = example_record().method.provider.model_copy(update={"plugin": "acme"})
    method = example_record().method.model_copy(update={"provider": provider})
    for record in records("fedavg", OURS):
        theirs = record.model_copy(update={"method": method}).sealed()
        write_record(folders / "made-up@1" / "fedavg@acme" / f"seed-{record.seed}", theirs)
    picture = tmp_path / "both.svg"
    code, out, _ = fedbench("compare", folders, "--plot", picture)
    assert code == 0
    assert {line.split()[0] for line in out.splitlines() if "fedavg" in line} == {
        "acme/fedavg", "baselines/fedavg"
    }  # fmt: skip
    assert all(f"<!-- {plugin}/fedavg -->" in picture.read_text() for plugin in ("acme", "baselines"))
    _, out, _ = fedbench("compare", folders, "--format", "json")
    plugins = {row["plugin"] for row in json.loads(out) if row["method"] == "fedavg"}
    assert plugins == {"acme", "baselines"}


def test_more_of_what_is_neither_is_only_more(fedbench, tmp_path):
    for method, values in {"fedavg": THEIRS, "more": OURS}.items():
        for record in records(method, values, better="neither"):
            write_record(tmp_path / method / f"{record.seed}", record)
    _, out, _ = fedbench("compare", tmp_path / "fedavg", tmp_path / "more")
    assert out.startswith(f"made-up@1 · {METRIC}\n") and out.splitlines()[4].split()[-1] == "more"
    less = difference(runs("x", THEIRS, "neither"), runs("y", OURS, "neither"), METRIC)
    assert less.verdict == "less"


def test_one_scenario_is_one_table_also_with_two_targets(fedbench, tmp_path):
    """As after a change of the code: each folder has anchors of its own."""
    for folder, top in {"old": 0.8, "new": 0.9}.items():
        for method, value in {"start": 0.1, "centralized": top, "fedavg": top - 0.2}.items():
            for record in records(method, (value, value)):
                write_record(tmp_path / folder / method / f"{record.seed}", record)
    _, out, _ = fedbench("compare", tmp_path / "old", tmp_path / "new")
    assert out.count("made-up@1") == 1 and "0.450" in out and "0.500" in out
    assert out.splitlines()[2].split()[-1] == "target"


def test_one_name_of_two_scenarios_is_two_tables(fedbench, folders, tmp_path):
    other = example_record("good").scenario.model_copy(update={"fingerprint": "e" * 64})
    for record in records("good", OURS, scenario=other):
        write_record(tmp_path / "other" / f"{record.seed}", record)
    _, out, _ = fedbench("compare", folders, tmp_path / "other", "--plot", tmp_path / "x.svg")
    assert "made-up@1 (eeeeeeee) ·" in out and "made-up@1 (ffffffff) ·" in out
    assert "made-up@1 (eeeeeeee)" in (tmp_path / "x.svg").read_text()


def test_strangers_text_is_text_in_tables_and_pictures(fedbench, folders, tmp_path):
    options = {"note": "\x1b]0;owned\x07 $\\bad$ <b>"}
    method = example_record("odd").method.model_copy(update={"options": options})
    scenario = example_record().scenario.model_copy(update={"changes": {"x": "[y](http://z)\x1b[2J"}})
    for record in records("odd", OURS):
        changed = record.model_copy(update={"method": method, "scenario": scenario}).sealed()
        write_record(folders / "made-up@1" / "odd" / f"seed-{record.seed}", changed)
    code, out, _ = fedbench("compare", folders, "--plot", tmp_path / "x.png")
    assert code == 0 and "\x1b" not in out and "\x07" not in out
    _, out, _ = fedbench("compare", folders, "--format", "markdown")
    assert r"\[y\](http" in out and r"\<b\>" in out


def test_who_has_nothing_in_common(fedbench, folders, tmp_path):
    other = example_record("good").scenario.model_copy(update={"fingerprint": "e" * 64})
    for record in records("good", OURS, scenario=other):
        write_record(tmp_path / "other" / f"{record.seed}", record)
    code, _, err = fedbench("compare", folders / "made-up@1" / "fedavg", tmp_path / "other")
    assert code == 2 and "they have no scenario and seed in common" in err


def test_a_method_that_is_not_there_is_suggested(fedbench, folders):
    code, _, err = fedbench("compare", "fedavgg", "--records", folders)
    assert code == 2 and err == (
        "fedbench: no such record or folder, or method: fedavgg — did you mean 'fedavg'?\n"
    )


def test_committed_methods_by_name(fedbench):
    code, out, _ = fedbench("compare", "fedavg", "fed-cmp", "--records", RECORDS, "--format", "json")
    rows = [
        row for row in json.loads(out) if row["scenario"] == "emoji-cross@1" and row["method"] == "fed-cmp"
    ]
    assert code == 0 and [row["difference"]["verdict"] for row in rows] == ["worse"]


@pytest.mark.parametrize("ending", ["svg", "png", "pdf"])
def test_the_picture_is_the_same_every_time(fedbench, folders, tmp_path, ending):
    pictures = [tmp_path / f"{name}.{ending}" for name in ("one", "two")]
    for picture in pictures:
        code, _, err = fedbench("compare", "fedavg", "good", "--records", folders, "--plot", picture)
        assert (code, err) == (0, "")
    assert pictures[0].read_bytes() == pictures[1].read_bytes() and pictures[0].stat().st_size > 5000
    if ending == "svg":
        text = pictures[0].read_text()
        assert "<!-- MB that the clients sent -->" in text and "<!-- good -->" in text


def test_a_picture_of_an_unknown_kind(fedbench, folders, tmp_path):
    code, _, err = fedbench("compare", folders, "--plot", tmp_path / "x.gif")
    assert code == 2 and "name it .svg, .png or .pdf" in err
