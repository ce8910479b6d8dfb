"""Public benchmarks beside one's own data, in their published columns."""

from collections import Counter
from pathlib import Path

import benchmark_tables
import numpy as np
import own_data
import pytest
from fedbench_huggingface.benchmark import benchmark, names, suites
from fedbench_huggingface.image_text import image_text
from fedbench_huggingface.options import ImageTextOptions
from fedbench_huggingface.options import suites as all_suites
from local_hub import local_hub, redirect

import fedbench
from fedbench.api.options import validated
from fedbench.catalog import Catalog
from fedbench.data.checks import check_data
from fedbench.data.content import check_held_out, image_digests
from fedbench.errors import UsageError
from fedbench.plugins import Plugins

CATALOG = Catalog(Plugins())
README = Path(__file__).parent.parent / "plugins" / "fedbench-huggingface" / "README.md"


@pytest.fixture(autouse=True)
def _cache(tmp_path_factory, monkeypatch):
    monkeypatch.setenv("FEDBENCH_CACHE", str(tmp_path_factory.getbasetemp() / "benchmark-cache"))


@pytest.fixture(scope="module")
def shelf(tmp_path_factory):
    """Own data in ``own``, and every benchmark."""
    folder = tmp_path_factory.mktemp("benchmarks")
    own_data.write_csv(folder / "own", list(own_data.samples(60)))
    for name in benchmark_tables.TABLES:
        benchmark_tables.write(folder / "public", name)
    return folder


def load(shelf, *wanted, folder=None, **options):
    """The data, checked as the engine checks it."""
    given = {
        "path": str(shelf / "own"), "image": "file_name", "prompt": "question", "client": "site",
        "benchmarks": list(wanted), "benchmark_folder": str(folder or shelf / "public"),
    }  # fmt: skip
    checked = validated(ImageTextOptions, given | options, "data 'image-text'")
    data = image_text(checked)
    check_data(data, "data 'image-text'", CATALOG.forms)
    check_held_out(data, image_digests(data.images), "data 'image-text'")
    said, found = all_suites(checked), {key: suite.form for key, suite in data.suites.items()}
    assert found == said or (checked.skip_broken and found.items() < said.items())
    return data


def asked(shelf, name, part="all"):
    return load(shelf, name).suites[f"{name}/{part}"].items


def test_there_is_a_table_in_the_published_columns_of_every_benchmark():
    assert set(names()) == set(benchmark_tables.TABLES)


@pytest.mark.parametrize("name", benchmark_tables.TABLES)
def test_a_benchmark_is_read_as_published(shelf, name):
    _, make, _ = benchmark_tables.TABLES[name]
    rows, found = list(make()), benchmark(name)
    assert not set(found.only) - set(rows[0]) and not set(found.prompt) - set(rows[0])
    rows = [row for row in rows if all(row[column] == value for column, value in found.only.items())]
    items = asked(shelf, name)
    assert len(items) == len(rows)
    for item, row in zip(items, rows, strict=True):
        assert row[found.prompt[-1]] in item.prompt.splitlines()
    for part, value in found.parts.items():
        assert len(asked(shelf, name, part)) == sum(row[found.part] == value for row in rows)


def test_pope_and_mme_ask_for_yes_or_no_about_each_image_once(shelf):
    data = load(shelf, "pope", "mme")
    pope, mme = data.suites["pope/all"].items, data.suites["mme/all"].items
    assert {item.choices for item in (*pope, *mme)} == {("yes", "no")}
    assert Counter(item.answer for item in pope) == {"yes": 6, "no": 6}
    assert len({item.image for item in pope}) == 2 and len({item.image for item in mme}) == 14
    assert {item.group for item in pope} == {f"COCO_val2014_{i:012d}" for i in range(2)}
    assert set(Counter(item.group for item in mme).values()) == {2}, "the questions about an image"


def test_choices_are_the_columns_or_the_list_or_the_text_of_a_row(shelf):
    first, second = asked(shelf, "mmbench")[:2]
    assert first.prompt == "It is cold.\nwhat is thing 0?" and second.prompt == "what is thing 1?"
    assert first.choices == ("a 0", "b 0", "c", "d") and first.answer == "a 0"
    assert second.choices == ("a 1", "b 1") and second.answer == "b 1"
    seed = asked(shelf, "seed-bench")
    assert [item.answer for item in seed] == ["one", "two", "4"], "the question about a video is left out"
    assert {item.choices for item in seed} == {("one", "two", "three", "4")}
    mmvp = asked(shelf, "mmvp")
    assert {item.choices for item in mmvp} == {("Open", "Closed (ajar)")}
    assert [item.answer for item in mmvp] == ["Open", "Closed (ajar)"] * 2
    assert [item.group for item in mmvp] == ["0", "0", "1", "1"], "pairs"
    science = asked(shelf, "scienceqa")
    assert [(item.answer, len(item.choices)) for item in science] == [("ice", 2), ("water", 3), ("ice", 2)]
    assert science[0].prompt == "Figure: a kettle.\nwhat is it 0?" and science[1].prompt == "what is it 1?"


def test_answers_of_several_people_are_references(shelf):
    for item in asked(shelf, "ok-vqa"):
        assert Counter(item.references) == {"race": 4, "motocross": 4, "ride": 2} and item.answer == "race"
        assert item.prompt.endswith("\nAnswer the question using a single word or phrase.")
    for item in asked(shelf, "textvqa"):
        assert item.answer == "dakota" and len(item.references) == 10
    one, two, three = asked(shelf, "docvqa")
    assert one.accepted == ("May 5, 1999",) and two.accepted == ("May 5, 1999", "5/5/99")
    assert [one.group, two.group, three.group] == ["doc0", "doc0", "doc1"]
    assert [item.answer for item in asked(shelf, "chartqa")] == ["14", "0.57", "Germany", "[Red, blue]"]


def test_its_images_are_nobodys_and_ones_own_data_stay_as_they_are(shelf):
    own, data = load(shelf), load(shelf, "pope", "chartqa")
    count = len(own.images)
    assert len(data.images) == count + 2 + 4
    assert (data.units[:count] == own.units).all() and (data.units[count:] == -1).all()
    assert data.pairs == own.pairs and data.labels == own.labels
    assert {key: data.suites[key] for key in own.suites} == dict(own.suites)
    assert data.images[count].tobytes() != data.images[count + 1].tobytes()
    assert np.asarray(data.images[len(data.images) - 1]).shape == (30, 40, 3)
    assert data.images.stored(3) == own.images.stored(3)
    assert len({made.fingerprint for made in (own, data, load(shelf, "pope"))}) == 3
    partition = CATALOG.partitioners["natural"]
    deal = partition.create(partition.options(label="client"))
    dealt = deal(data, 4, Path())
    assert dealt.fingerprint == deal(own, 4, Path()).fingerprint


TOML = """
name = "own-and-public"
version = 1
track = "alignment"
summary = "my own data, and four public benchmarks"

[backbone]
name = "nano"

[data]
name = "image-text"
files = {path = "own", benchmark_folder = "public"}

[data.options]
image = "file_name"
prompt = "question"
client = "site"
benchmarks = ["pope", "scienceqa", "ok-vqa", "docvqa"]

[partition]
name = "natural"

[partition.options]
label = "client"

[federation]
clients = 4
rounds = 1

[training]
batch_size = 4
lr = 1e-3
hidden = 16

[evaluation]
primary = "test/choice/accuracy"
metrics = ["choice", "yesno", "exact-match", "anls", "vqa-accuracy"]
each_round = ["test/choice"]
final = ["test/choice", "pope/all", "pope/adversarial", "scienceqa/all", "ok-vqa/all", "docvqa/all"]
"""


def test_a_run_measures_them_beside_ones_own(shelf, tmp_path):
    path = shelf / "own-and-public.toml"
    path.write_text(TOML)
    record = fedbench.run("fedavg", path, output=tmp_path / "runs")
    wanted = {
        "test/choice/accuracy", "pope/all/f1", "pope/adversarial/balanced_accuracy", "scienceqa/all/accuracy",
        "ok-vqa/all/vqa_accuracy", "docvqa/all/anls", "docvqa/all/exact_match",
    }  # fmt: skip
    assert wanted <= set(record.final)
    assert record.final["pope/all/accuracy"].n == 12 and record.final["ok-vqa/all/vqa_accuracy"].n == 3
    assert {metric.form for metric in record.measured_by.values()} == {"choice", "yesno", "generate", "vqa"}


def changed(shelf, tmp_path, name, **cells):
    """The benchmark with other values in its second row."""
    rows = list(benchmark_tables.TABLES[name][1]())
    rows[1] |= cells
    benchmark_tables.write(tmp_path, name, rows)
    return tmp_path


WRONG = {
    "an answer that is no letter": ("mmbench", {"answer": "E"}, "answer among no choices"),
    "an answer neither yes nor no": (
        "pope",
        {"answer": "maybe"},
        "answer neither yes nor no (it is 'maybe')",
    ),
    "no answer": ("ok-vqa", {"answers": []}, "no answer"),
    "no question": ("chartqa", {"question": " "}, "no question"),
    "no image": ("mme", {"image": None}, "no image"),
}


@pytest.mark.parametrize(("name", "cells", "said"), WRONG.values(), ids=WRONG.keys())
def test_a_row_that_cant_be_asked_is_named_or_left_out(shelf, tmp_path, name, cells, said):
    folder = changed(shelf, tmp_path, name, **cells)
    with pytest.raises(UsageError, match="row 1 of ") as raised:
        load(shelf, name, folder=folder)
    assert said in str(raised.value)
    data = load(shelf, name, folder=folder, skip_broken=True)
    assert len(data.suites[f"{name}/all"].items) == len(asked(shelf, name)) - 1
    assert any("1 of " in note and said.partition(" (")[0] in note for note in data.notes)


def test_what_is_missing_is_said_with_what_to_do(shelf, tmp_path):
    with pytest.raises(UsageError, match="there is no benchmark 'pop', did you mean 'pope'"):
        load(shelf, "pop")
    (tmp_path / "none").mkdir()
    with pytest.raises(UsageError, match="hf download lmms-lab-encoder/POPE --repo-type dataset --include"):
        load(shelf, "pope", folder=tmp_path / "none")
    rows = [{"image": row["image"], "question": row["question"]} for row in benchmark_tables.chartqa()]
    benchmark_tables.write(tmp_path, "chartqa", rows)
    with pytest.raises(UsageError, match="benchmark chartqa' has no column 'answer'"):
        load(shelf, "chartqa", folder=tmp_path)
    video = [row for row in benchmark_tables.seed_bench() if row["data_type"] == "video"]
    benchmark_tables.write(tmp_path, "seed-bench", video)
    with pytest.raises(UsageError, match=r"SEED-Bench has no question.*no row has data_type = image"):
        load(shelf, "seed-bench", folder=tmp_path)


def test_an_image_that_clients_learn_from_is_refused(shelf, tmp_path):
    """A benchmark's test image in one's training data."""
    own = load(shelf)
    learnt = own.images.stored(own.pairs[0].image)
    folder = changed(shelf, tmp_path, "chartqa", image={"bytes": learnt, "path": "x.png"})
    with pytest.raises(UsageError, match=r"1 of the .* asked about are images that clients learn from"):
        load(shelf, "chartqa", folder=folder)


def test_without_a_folder_it_comes_from_its_repository(shelf, tmp_path, monkeypatch):
    """Only the files of the split that is asked are fetched."""
    file = benchmark_tables.TABLES["mmbench"][0]
    path = shelf / "public" / "mmbench" / file
    with local_hub() as hub:
        redirect(monkeypatch, hub, tmp_path)
        monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path / "hub"))
        found = {file: path.read_bytes(), "cn/dev-00000-of-00001.parquet": b"not asked for"}
        hub.repositories["datasets", benchmark("mmbench").repo] = [found]
        data = load(shelf, "mmbench", benchmark_folder=None)
        fetched = [way for kind, way in hub.asked if kind == "GET" and "/resolve/" in way]
    assert data.suites["mmbench/all"].items == asked(shelf, "mmbench")
    assert len(fetched) == 1 and "en/dev" in fetched[0]


def test_the_page_has_each_benchmark_with_its_suites_and_metric():
    rows = [line for line in README.read_text(encoding="utf-8").splitlines() if line.startswith("| `")]
    shown = {row.split("`")[1]: row for row in rows if row.split("`")[1] in names()}
    assert set(shown) == set(names())
    for name, row in shown.items():
        found = benchmark(name)
        metric = found.metric or CATALOG.forms[found.form].spec.metric
        assert found.title in row and found.paper in row and found.repo in row and f"`{metric}`" in row
        assert all(f"`{part}`" in row for part in found.parts)
        assert set(suites(name).values()) == {found.form} and f"`{found.form}`" in row
        assert CATALOG.forms[CATALOG.metrics[metric].spec.form] == CATALOG.forms[found.form]
