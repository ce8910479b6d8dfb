"""Preferences of one's own without code: what is public, what is asked, and what is wrong in one line."""

import json
from collections import Counter

import own_data
import pyarrow.parquet as pq
import pytest
from fedbench_huggingface.preference_options import PreferencesOptions, preference_suites
from fedbench_huggingface.preferences import preferences
from test_image_text import written

from fedbench.api.options import validated
from fedbench.catalog import Catalog
from fedbench.data.checks import check_data
from fedbench.data.content import check_held_out, image_digests
from fedbench.errors import UsageError
from fedbench.plugins import Plugins
from fedbench.scenario_files import load_scenario

FORMS = Catalog(Plugins()).forms

SCENARIO = """\
track = "preference"
backbone.name = "nano-vlm"
data.name = "preferences"
data.files.path = "preferences"
data.options = { image = "file_name", client = "site" }
partition.name = "natural"
federation = { clients = 4, rounds = 3 }
rewards = { epochs = 4 }
policy = { lr = 1e-4 }
"""


@pytest.fixture(autouse=True)
def _cache(tmp_path_factory, monkeypatch):
    monkeypatch.setenv("FEDBENCH_CACHE", str(tmp_path_factory.getbasetemp() / "own-cache"))


def load(path, **options):
    """The data, checked as the engine checks it."""
    given = validated(PreferencesOptions, {"path": str(path), **options}, "data 'preferences'")
    data = preferences(given)
    check_data(data, "data 'preferences'", FORMS)
    check_held_out(data, image_digests(data.images), "data 'preferences'")
    assert {key: suite.form for key, suite in data.suites.items()} == preference_suites(given)
    return data


def rows(count=40, **cells):
    """Rows of a photo each; ``cells`` are functions of the row's number."""
    cells = {
        "prompt": lambda i: "which?",
        "chosen": lambda i: f"a {i}",
        "rejected": lambda i: f"b {i}",
    } | cells
    return [{"image": i, **{name: cell(i) for name, cell in cells.items()}} for i in range(count)]


def asked(data):
    """The answers that make each part's rows out, of rows as :func:`rows` has them."""
    return {
        "train": [pair.chosen for pair in data.pairs],
        "comparisons": [pair.chosen for pair in data.comparisons],
        "queries": [answer for query in data.queries for answer in query.accepted],
        "test": [answer for item in data.suites["test/answer"].items for answer in item.accepted],
    }


def test_every_row_has_one_place_and_shares_are_of_the_whole(tmp_path):
    data = load(written(tmp_path, rows(100)))
    parts = asked(data)
    assert sorted(answer for part in parts.values() for answer in part) == sorted(
        f"a {i}" for i in range(100)
    )
    assert {name: len(part) for name, part in parts.items()} == {
        "train": 60,
        "comparisons": 10,
        "queries": 20,
        "test": 10,
    }
    assert all(pair.rejected == pair.chosen.replace("a", "b") for pair in (*data.pairs, *data.comparisons))
    assert data.left_out == {} and not data.notes


def test_every_client_gives_its_share_to_the_public(tmp_path):
    table = rows(90, site=lambda i: "small" if i % 9 == 0 else "large")
    data = load(written(tmp_path, table), client="site")
    sites = {f"a {i}": row["site"] for i, row in enumerate(table)}
    for part, share in (("queries", 0.2), ("comparisons", 0.1), ("test", 0.1)):
        counted = Counter(sites[answer] for answer in asked(data)[part])
        assert counted == {"small": round(share * 10), "large": round(share * 80)}
    assert set(data.label("client")) == {"small", "large"} and list(data.labels) == ["client"]


def test_the_split_is_the_images_own_and_the_seeds(tmp_path):
    table = rows(40)
    once = asked(load(written(tmp_path / "a", table)))
    turned = asked(load(written(tmp_path / "b", table[::-1])))
    assert {name: set(part) for name, part in once.items()} == {
        name: set(part) for name, part in turned.items()
    }
    assert asked(load(tmp_path / "a", seed=1)) != once


def test_a_group_is_in_one_part(tmp_path):
    data = load(written(tmp_path, rows(60, patient=lambda i: i // 3)), group="patient")
    homes = Counter(
        (int(answer.split()[1]) // 3, name) for name, part in asked(data).items() for answer in part
    )
    assert len(homes) == 20 and set(homes.values()) == {3}


def test_a_question_is_asked_once_and_all_its_preferred_answers_are_right(tmp_path):
    table = [row | {"chosen": f"{row['chosen']} {n}"} for row in rows(30) for n in range(3)]
    data = load(written(tmp_path, table))
    for item in (*data.queries, *data.suites["test/answer"].items):
        assert len(item.references) == 3 and item.answer == item.references[0]
    assert len(data.queries) == 6 and len(data.pairs) == 3 * 18


def test_its_own_splits_are_kept(tmp_path):
    table = rows(40, part=lambda i: "val" if i < 5 else "test" if i < 9 else "train")
    parts = asked(load(written(tmp_path, table), split="part"))
    assert parts["comparisons"] == [f"a {i}" for i in range(5)]
    assert parts["test"] == [f"a {i}" for i in range(5, 9)]
    assert len(parts["queries"]) == round(0.2 * 31)


def test_formats_give_the_same_data(tmp_path):
    table = list(own_data.samples(60))
    own_data.write_preferences(tmp_path / "jsonl", table)
    lines = (tmp_path / "jsonl" / "preferences.jsonl").read_text().splitlines()
    cells = [json.loads(line) for line in lines]
    folder = tmp_path / "csv"
    own_data.write_csv(
        folder,
        [
            (path, {k: v for k, v in row.items() if k != "file_name"})
            for (path, _), row in zip(table, cells, strict=True)
        ],
    )
    own_data.write_parquet(
        tmp_path / "parquet",
        [
            (path, {k: v for k, v in row.items() if k != "file_name"})
            for (path, _), row in zip(table, cells, strict=True)
        ],
    )
    assert pq.read_table(tmp_path / "parquet").num_rows == len(table)
    one, two, three = (
        load(tmp_path / kind, image=image)
        for kind, image in (("jsonl", "file_name"), ("csv", "file_name"), ("parquet", "image"))
    )
    assert one.fingerprint == two.fingerprint == three.fingerprint


FAULTS = {
    "null chosen": ("chosen", None, "no chosen answer"),
    "null rejected": ("rejected", None, "no rejected answer"),
    "blank": ("rejected", "  ", "no rejected answer"),
    "tie": ("rejected", "a 7", "a tie"),
    "tie but for spaces": ("rejected", " a 7\n", "a tie"),
    "no question": ("prompt", "", "no prompt"),
    "a number": ("chosen", 0.5, "chosen answer of type float"),
    "no client": ("site", None, "no client"),
    "no image": ("image", None, "no image"),
    "a file that isn't there": ("image", "gone.png", "no file"),
}


@pytest.mark.parametrize(("column", "cell", "kind"), FAULTS.values(), ids=FAULTS.keys())
def test_a_row_that_cant_be_used_is_refused_by_its_number_or_counted(column, cell, kind, tmp_path):
    table = rows(40, site=lambda i: "a")
    table[7][column] = cell
    if kind.endswith("float"):
        table = [row | {column: 0.5} if i == 7 else row | {column: i + 0.25} for i, row in enumerate(table)]
        table = [table[7], *table[:7]]
    path = written(tmp_path, table)
    with pytest.raises(
        UsageError, match=rf"row \d+ of rows.jsonl of data 'preferences' can't be used.*{kind}"
    ) as raised:
        load(path, client="site")
    assert "\n" not in str(raised.value) and "skip_broken = true" in str(raised.value)
    if kind.endswith("float"):
        return
    assert "row 7 of" in str(raised.value)
    data = load(path, client="site", skip_broken=True)
    assert data.left_out == {kind: (7,)}
    assert data.notes == [f"1 of 40 rows are left out, such as row 7 of rows.jsonl: {kind}"]
    assert sum(map(len, asked(data).values())) == 39


def test_a_conversation_is_no_text(tmp_path):
    table = rows(40, chosen=lambda i: [{"role": "assistant", "content": f"a {i}"}])
    with pytest.raises(UsageError, match=r"row 0 of .*chosen answer of type list .*it is one text"):
        load(written(tmp_path, table))


REFUSED = {
    "column": (
        rows(),
        {"chosen": "choosen"},
        r"no column 'choosen' .*did you mean 'chosen'\?.*options.chosen",
    ),
    "too few": (rows(3), {}, r"too small .* none for"),
    "shares": (rows(), {"shares": {"queries": 0.8, "test": 0.1}}, "leave nothing to learn from"),
    "no queries": (rows(), {"shares": {"queries": 0}}, "greater than 0"),
    "one column": (rows(), {"rejected": "chosen"}, "chosen and rejected are both column 'chosen'"),
    "two clients": (rows(), {"client": "site", "labels": ["client"]}, "take 'client' out of labels"),
    "nothing": (
        rows(chosen=lambda i: "x", rejected=lambda i: "x"),
        {"skip_broken": True},
        r"no row .*a tie in 40 of 40",
    ),
}


@pytest.mark.parametrize(("table", "options", "said"), REFUSED.values(), ids=REFUSED.keys())
def test_what_makes_no_data_is_one_line(table, options, said, tmp_path):
    with pytest.raises(UsageError, match=said) as raised:
        load(written(tmp_path, table), **options)
    assert "\n" not in str(raised.value)


@pytest.fixture
def own(tmp_path):
    """A folder of 60 preferences beside a scenario of nine lines."""
    own_data.write_preferences(tmp_path / "preferences", list(own_data.samples(60)))
    (tmp_path / "mine.toml").write_text(SCENARIO)
    return tmp_path


def test_nine_lines_are_a_scenario(own):
    resolved = Catalog(Plugins()).resolve(load_scenario(own / "mine.toml"))
    scenario = resolved.scenario
    assert len(SCENARIO.splitlines()) < 10
    assert scenario.evaluation.primary == "test/answer/exact_match"
    assert scenario.rewards.epochs == 4 and scenario.policy.steps == 10
    words = load_scenario(own / "mine.toml", {"evaluation.metrics": ["token-f1"]})
    assert Catalog(Plugins()).resolve(words).scenario.evaluation.primary == "test/answer/token_f1"


def test_a_faulty_table_ends_a_run_before_it_begins(own, fedbench):
    table = own / "preferences" / "preferences.jsonl"
    lines = table.read_text().splitlines()
    lines[3] = json.dumps(json.loads(lines[3]) | {"chosen": None})
    table.write_text("\n".join(lines))
    code, out, err = fedbench("run", "-m", "mor", "-s", own / "mine.toml", "--output", own / "runs")
    assert (code, out) == (2, "") and "row 3 of preferences.jsonl" in err and "no chosen answer" in err
    assert "Traceback" not in err and not list(own.glob("runs/**/*.json*"))
