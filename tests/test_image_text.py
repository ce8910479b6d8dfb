"""Data of one's own without code: tables in every format, splits, suites, and what is wrong in one line."""

import io
import json
import shutil
import tarfile
from collections import Counter

import own_data
import pyarrow as pa
import pyarrow.ipc
import pyarrow.parquet as pq
import pytest
from fedbench_huggingface.image_text import image_text
from fedbench_huggingface.options import ImageTextOptions, suites
from local_hub import local_hub, redirect
from PIL import Image

from fedbench.api.options import validated
from fedbench.catalog import Catalog
from fedbench.data.checks import check_data
from fedbench.data.content import check_held_out, image_digests
from fedbench.data.partitioners import (
    DirichletOptions,
    NaturalOptions,
    SeededOptions,
    dirichlet,
    iid,
    natural,
)
from fedbench.errors import Unavailable, UsageError
from fedbench.plugins import Plugins

FORMS = Catalog(Plugins()).forms


@pytest.fixture(autouse=True)
def _cache(tmp_path_factory, monkeypatch):
    monkeypatch.setenv("FEDBENCH_CACHE", str(tmp_path_factory.getbasetemp() / "own-cache"))


@pytest.fixture(scope="module")
def shelf(tmp_path_factory):
    folder = tmp_path_factory.mktemp("own")
    own_data.write_all(folder, images=120)
    return folder


def load(path, **options):
    """The data, checked as the engine checks it."""
    given = validated(ImageTextOptions, {"path": str(path), **options}, "data 'image-text'")
    data = image_text(given)
    check_data(data, "data 'image-text'", FORMS)
    check_held_out(data, image_digests(data.images), "data 'image-text'")
    assert {key: suite.form for key, suite in data.suites.items()} == suites(given)
    return data


def png(number):
    file = io.BytesIO()
    Image.new("RGB", (6, 6), (number % 256, number // 256, 90)).save(file, "png")
    return file.getvalue()


def rows(count=40, **cells):
    """Rows of a photo each; ``cells`` are functions of the row's number."""
    cells = {"answer": lambda i: f"a {i}"} | cells
    return [{"image": i, **{name: cell(i) for name, cell in cells.items()}} for i in range(count)]


def written(folder, table, name="rows.jsonl"):
    """``table`` as JSONL that names images beside it: the image of number ``image``, or a name itself."""
    folder.mkdir(parents=True, exist_ok=True)
    lines = []
    for row in table:
        file = row["image"]
        if isinstance(file, int):
            file = f"{file}.png"
            (folder / file).write_bytes(png(row["image"]))
        lines.append(json.dumps({**row, "image": file}))
    (folder / name).write_text("\n".join(lines) + "\n", encoding="utf-8")
    return folder


def asked(data, key="test/choice"):
    return data.suites[key].items


KINDS = {
    "csv": {"image": "file_name", "prompt": "question", "client": "site"},
    "jsonl": {"image": "file_name", "prompt": "question", "client": "site"},
    "parquet": {"prompt": "question", "client": "site"},
    "webdataset": {"image": "png", "prompt": "json.question", "answer": "json.answer", "client": "json.site"},
}


def content(data):
    """All that is learnt and asked, with pixels and client, in any order."""
    entries = [("train", pair.image, pair.prompt, pair.answer) for pair in data.pairs]
    entries += [
        (s.key, i.image, i.prompt, i.answer, *i.choices) for s in data.suites.values() for i in s.items
    ]
    client = data.labels["client"]
    return sorted(
        (what, data.images[image].tobytes(), client[data.units[image]], *texts)
        for what, image, *texts in entries
    )


def test_every_format_has_the_same_content(shelf):
    found = {kind: content(load(shelf / kind, **options)) for kind, options in KINDS.items()}
    assert len(found["csv"]) > 100
    assert all(other == found["csv"] for other in found.values())


def test_arrow_json_and_tsv_are_read_and_a_file_may_be_named(shelf, tmp_path):
    table = pq.read_table(shelf / "parquet" / "questions.parquet")
    for end, new in (("arrow", pa.ipc.new_file), ("feather", pa.ipc.new_stream)):
        with new(str(tmp_path / f"x.{end}"), table.schema) as writer:
            writer.write_table(table)
    shutil.copytree(shelf / "csv", tmp_path / "tsv")
    text = (tmp_path / "tsv" / "metadata.csv").read_text()
    (tmp_path / "tsv" / "metadata.csv").unlink()
    (tmp_path / "tsv" / "a.tsv").write_text(text.replace(",", "\t"))
    shutil.copytree(shelf / "jsonl", tmp_path / "json")
    lines = (shelf / "jsonl" / "questions.jsonl").read_text().splitlines()
    (tmp_path / "json" / "a.json").write_text(json.dumps([json.loads(line) for line in lines]))
    (tmp_path / "json" / "questions.jsonl").unlink()
    expected = content(load(shelf / "csv", **KINDS["csv"]))
    places = {"x.arrow": "parquet", "x.feather": "parquet", "tsv": "csv", "tsv/a.tsv": "csv", "json": "jsonl"}
    for name, kind in places.items():
        assert content(load(tmp_path / name, **KINDS[kind])) == expected, name


def test_the_hub_gives_the_same_as_a_folder_and_names_what_it_has_not(shelf, tmp_path, monkeypatch):
    """A table beside its images, in a repository; without a network what was fetched is still there."""
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path / "hub"))
    with local_hub() as hub:
        redirect(monkeypatch, hub, tmp_path)
        files = {path.name: path.read_bytes() for path in (shelf / "csv").iterdir()}
        hub.repositories["datasets", "me/shapes"] = [files | {"README.md": b"no table"}]
        data = load("me/shapes", **KINDS["csv"])
        assert content(data) == content(load(shelf / "csv", **KINDS["csv"]))
        hub.repositories["datasets", "me/bad"] = [{"metadata.csv": b"image,answer\n../../../etc/passwd,a\n"}]
        with pytest.raises(UsageError, match=r"lies outside its repository"):
            load("me/bad")
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    with pytest.raises(Unavailable, match=r"can't get the dataset 'me/other' .* — where there is a network"):
        load("me/other", local_files_only=True)


def test_cells_of_a_csv_are_texts_as_they_are_written(tmp_path):
    written(tmp_path, rows(20))
    lines = ["image,answer", *(f"{i}.png,{i:03d}" for i in range(19)), '19.png,"NA, ""two""\nlines"']
    (tmp_path / "rows.jsonl").unlink()
    (tmp_path / "metadata.csv").write_text("\ufeff" + "\n".join(lines) + "\n", encoding="utf-8")
    answers = {pair.answer for pair in load(tmp_path).pairs} | {item.answer for item in asked(load(tmp_path))}
    assert "007" in {*answers, *(i.answer for i in asked(load(tmp_path), "validation/choice"))}
    everything = content_answers(load(tmp_path))
    assert {"000", "018", 'NA, "two"\nlines'} <= everything and len(everything) == 20


def content_answers(data):
    return {pair.answer for pair in data.pairs} | {
        item.answer for suite in data.suites.values() for item in suite.items
    }


def test_dates_stay_texts_and_classes_are_their_names(tmp_path):
    written(tmp_path / "dates", rows(20, answer=lambda i: f"2020-01-{i + 1:02d}"))
    assert "2020-01-07" in content_answers(load(tmp_path / "dates"))
    import datasets

    table = [{"image": {"bytes": png(i), "path": None}, "answer": f"a {i}", "kind": i % 2} for i in range(20)]
    features = {
        "image": datasets.Image(), "answer": datasets.Value("string"),
        "kind": datasets.ClassLabel(names=["cat", "dog"]),
    }  # fmt: skip
    datasets.Dataset.from_list(table, features=datasets.Features(features)).to_parquet(tmp_path / "x.parquet")
    assert set(load(tmp_path / "x.parquet", labels=["kind"]).labels["kind"]) == {"cat", "dog"}


def test_shares_are_of_the_whole_and_of_each_client(tmp_path):
    folder = written(tmp_path, rows(100, site=lambda i: "ab"[i % 4 == 0]))
    data = load(folder, client="site", shares={"validation": 0.2, "test": 0.2})
    split = {
        name: Counter(data.labels["client"][data.units[entry.image]] for entry in entries)
        for name, entries in {
            "train": data.pairs, "test": asked(data), "validation": asked(data, "validation/choice"),
        }.items()
    }  # fmt: skip
    assert split["test"] == split["validation"] == {"a": 15, "b": 5} and split["train"] == {"a": 45, "b": 15}
    again, other = load(folder, client="site", shares={"validation": 0.2, "test": 0.2}), load(folder, seed=1)
    assert again.fingerprint == data.fingerprint and other.fingerprint != load(folder).fingerprint


def test_without_a_share_there_is_no_validation(tmp_path):
    folder = written(tmp_path, rows())
    assert set(load(folder, shares={"validation": 0.0}).suites) == {"test/choice", "test/caption"}


def test_splits_do_not_depend_on_the_rows_order_or_the_files_names(tmp_path):
    table = rows(40, site=lambda i: "ab"[i % 2])
    first = load(written(tmp_path / "a", table), client="site")
    backwards = written(tmp_path / "b", table[::-1])
    assert content(load(backwards, client="site")) == content(first)


def test_a_group_is_in_one_split_and_with_one_client(tmp_path):
    folder = written(tmp_path, rows(60, patient=lambda i: f"p{i // 3}"))
    data = load(folder, group="patient", shares={"validation": 0.2, "test": 0.2})
    patient = {f"a {i}": f"p{i // 3}" for i in range(60)}
    splits = {
        name: {patient[e.answer] for e in entries}
        for name, entries in {
            "train": data.pairs, "test": asked(data), "validation": asked(data, "validation/choice"),
        }.items()
    }  # fmt: skip
    assert sum(map(len, splits.values())) == len(set().union(*splits.values())) == 20
    assert all(item.group == patient[item.answer] for item in asked(data))
    partition = iid(SeededOptions())(data, 4, tmp_path)
    held = [{patient[data.pairs[i].answer] for i in shard} for shard in partition.shards(data)]
    assert sum(map(len, held)) == len(splits["train"]), "no patient is with two clients"


def test_a_large_group_takes_no_more_than_a_split_should_have(tmp_path):
    """Whichever comes first: half of all images are one patient's."""
    folder = written(tmp_path, rows(60, patient=lambda i: "big" if i < 30 else f"p{i}"))
    for seed in range(4):
        data = load(folder, group="patient", seed=seed)
        assert len(data.pairs) == 48 and len(asked(data)) == 6
    two = load(written(tmp_path / "two", rows(24, patient=lambda i: f"p{i // 8}")), group="patient")
    assert len(two.pairs) == len(asked(two)) == len(asked(two, "validation/choice")) == 8


def test_the_same_image_under_two_names_is_one_unit(tmp_path):
    table = rows(40)
    folder = written(tmp_path, table)
    copies = [{"image": f"copy-{i}.png", "answer": f"again {i}"} for i in range(40)]
    for i in range(40):
        (folder / f"copy-{i}.png").write_bytes(png(i))
    data = load(written(folder, table + copies))
    assert len(data.images) == 40 and len(data.pairs) == 64
    assert "40 of 80 rows repeat an image; all its rows are in one split" in data.notes


def test_own_splits_of_folders_files_and_image_names_are_kept(tmp_path):
    for split, first, count in (("train", 0, 30), ("test", 30, 10)):
        part = [{"image": i, "answer": f"a {i}"} for i in range(first, first + count)]
        written(tmp_path / "folders" / split, part, "metadata.jsonl")
    data = load(tmp_path / "folders")
    assert {item.answer for item in asked(data)} == {f"a {i}" for i in range(30, 40)}
    assert len(data.pairs) == 27 and len(asked(data, "validation/caption")) == 3
    assert "its own splits are kept: test, train; validation is drawn from train" in data.notes
    (tmp_path / "names").mkdir()
    for split in ("train", "dev", "test"):
        shutil.copytree(tmp_path / "folders" / "train", tmp_path / "names" / split)
        (tmp_path / "names" / split / "metadata.jsonl").unlink()
    named = [{"image": f"{('train', 'dev', 'test')[i % 3]}/{i}.png", "answer": f"a {i}"} for i in range(30)]
    data = load(written(tmp_path / "names", named))
    assert sorted(int(item.answer[2:]) % 3 for item in asked(data)) == [2] * 10
    assert sorted(int(pair.answer[2:]) % 3 for pair in data.pairs) == [0] * 10
    assert len(load(tmp_path / "names", own_splits=False).pairs) == 24


def test_a_column_may_say_the_split_in_usual_spellings(tmp_path):
    folder = written(tmp_path, rows(40, part=lambda i: ("train", "Train", "TEST", "val")[i % 4]))
    data = load(folder, split="part")
    assert len(data.pairs) == 20 and len(asked(data)) == len(asked(data, "validation/choice")) == 10


def test_a_folders_own_test_is_never_learnt_from(tmp_path):
    written(tmp_path / "test", rows(20))
    with pytest.raises(
        UsageError, match=r"has nothing to learn from .* own split test — deal them anew with"
    ):
        load(tmp_path)
    assert load(tmp_path, own_splits=False).pairs


def test_an_image_in_train_and_test_is_refused_with_its_rows(tmp_path):
    written(tmp_path / "train", rows(20))
    written(tmp_path / "test", [{"image": i, "answer": f"b {i}"} for i in range(19, 30)])
    said = (
        r"share an image in .*: row 0 of test/rows.jsonl \(test\) and row 19 of train/rows.jsonl \(train\)"
        r" have the same; there are 1 such cases — take one of the two out"
    )
    with pytest.raises(UsageError, match=said):
        load(tmp_path)
    folder = written(
        tmp_path / "groups", rows(20, g=lambda i: f"{i // 2}", s=lambda i: ["train", "test"][i % 2])
    )
    with pytest.raises(
        UsageError, match=r"share a group .*row 0 of rows.jsonl \(train\) and row 1 .* 10 such"
    ):
        load(folder, group="g", split="s")


def test_clients_partition_by_nature_and_labels_by_dirichlet(shelf):
    data = load(shelf / "csv", **KINDS["csv"], labels=["answer"])
    partition = natural(NaturalOptions())(data, 4, shelf)
    clients = [{data.labels["client"][unit] for unit in units} for units in partition.train]
    assert clients == [{"east"}, {"north"}, {"south"}, {"west"}]
    assert all(map(len, partition.evaluation))
    skewed = dirichlet(DirichletOptions(label="answer", alpha=0.1))(data, 4, shelf)
    assert sum(map(len, skewed.train)) == len({pair.image for pair in data.pairs})


def test_an_image_of_two_clients_is_a_unit_of_each_and_in_one_split(tmp_path):
    table = [{"image": i, "answer": f"{site} {i}", "site": site} for i in range(20) for site in "ab"]
    data = load(written(tmp_path, table), client="site")
    assert len(data.images) == 40 and Counter(data.labels["client"]) == {"a": 20, "b": 20}
    assert {item.answer[2:] for item in asked(data) if item.answer[0] == "a"} == {
        item.answer[2:] for item in asked(data) if item.answer[0] == "b"
    }


def test_several_answers_are_each_learnt_or_the_commonest(tmp_path):
    folder = written(tmp_path, rows(20, answer=lambda i: [f"b {i}", f"a {i}", f"a {i}", ""]))
    data = load(folder)
    assert len(data.pairs) == 32 and len(asked(data, "test/caption")) == 4
    assert {item.answer[0] for item in asked(data)} == {"a"}, "the commonest is the right choice"
    assert all(f"b{item.answer[1:]}" not in item.choices for item in asked(data)), "no right one is wrong"
    assert {pair.answer[0] for pair in load(folder, train_on="commonest").pairs} == {"a"}
    (item, *_) = asked(load(folder, suites=["generate"]), "test/generate")
    number = item.answer[2:]
    assert item.references == (f"a {number}", f"a {number}", f"b {number}")
    table = rows(20, one=lambda i: f"a {i}", two=lambda i: None if i % 2 else f"b {i}")
    assert len(load(written(tmp_path / "c", table), answer=["one", "two"]).pairs) in range(17, 33)


def test_drawn_choices_are_of_the_same_question_and_label(tmp_path):
    table = rows(
        120,
        question=lambda i: f"what {i % 2}?",
        kind=lambda i: "xy"[i // 2 % 2],
        answer=lambda i: f"{i % 2}{'xy'[i // 2 % 2]}{i % 5}",
    )
    data = load(
        written(tmp_path, table), prompt="question", labels=["kind"], choices_within="kind", drawn_choices=3
    )
    assert set(data.suites) == {f"{s}/{n}" for s in ("test", "validation") for n in ("choice", "generate")}
    for item in asked(data):
        assert len(item.choices) == 3 and {choice[:2] for choice in item.choices} == {item.answer[:2]}


OFFERED = ["red", "green", "blue"]


@pytest.mark.parametrize(
    ("answer", "kind"), [(lambda i: "ABC"[i % 3], "letter"), (lambda i: f"({'abc'[i % 3]})", "letter"),
                         (lambda i: i % 3, "index"), (lambda i: OFFERED[i % 3], "text")],
)  # fmt: skip
def test_given_choices_are_offered_and_answers_may_be_letters_or_numbers(tmp_path, answer, kind):
    folder = written(tmp_path, rows(30, choices=lambda i: OFFERED, answer=answer))
    data = load(folder, choices="choices", answer_as=kind, prompt_text="which colour?")
    assert {item.choices for item in asked(data)} == {tuple(OFFERED)}
    assert {pair.answer for pair in data.pairs} == set(OFFERED)
    assert {pair.prompt for pair in data.pairs} == {"which colour?"}


def test_choices_may_lie_in_columns_some_of_them_empty(tmp_path):
    table = rows(30, A=lambda i: "yes", B=lambda i: "no", C=lambda i: None, answer=lambda i: "AB"[i % 2])
    data = load(written(tmp_path, table), choices=["A", "B", "C"], answer_as="letter")
    assert {item.choices for item in asked(data)} == {("yes", "no")}


def test_yes_and_no_are_told_in_the_datas_own_spelling(tmp_path):
    folder = written(tmp_path, rows(40, answer=lambda i: ("Yes", "No", "yes", "Yes", "blue")[i % 5]))
    data = load(folder, suites=["yesno", "generate"], shares={"test": 0.5, "validation": 0.0})
    items = asked(data, "test/yesno")
    assert {item.choices for item in items} == {("Yes", "No")} and {i.answer for i in items} == {"Yes", "No"}
    assert len(asked(data, "test/generate")) == 20 > len(items)


BAD = {
    "a wrong column": ({"answer": "anser"}, {}, r"has no column 'anser' in .*: its columns are image, answer"
                       r" — did you mean 'answer'\?; set data.options.answer to one of them"),
    "a wrong label": ({"labels": ["site"]}, {}, r"no column 'site' .* — set data.options.labels"),
    "no image column": ({"image": "photo"}, {}, r"no column 'photo' .* — set data.options.image"),
    "a null": ({}, {"answer": None}, r"row 3 .* can't be used in .*: no answer — .*skip_broken"),
    "white space": ({}, {"answer": "  "}, r"row 3 of rows.jsonl of data .*: no answer"),
    "a null client": ({"client": "site"}, {"site": None}, r"row 3 of rows.jsonl .*: no client"),
    "a missing file": ({}, {"image": "gone.png"}, r"row 3 .*: no file .*gone"),
    "no image": ({}, {"image": ""}, r"row 3 of rows.jsonl .*: no image"),
    "a wrong split": ({"split": "site"}, {"site": "tset"}, r"row 3 .*: split is none of .*'tset'"),
    "no split": ({"split": "site"}, {}, r"row 0 of rows.jsonl .*: split is none of"),
}  # fmt: skip


@pytest.mark.parametrize("fault", BAD)
def test_what_is_wrong_is_named_with_its_row(fault, tmp_path):
    options, spoilt, said = BAD[fault]
    table = rows(
        20, **({"site": lambda i: "a"} if fault in ("a null client", "a wrong split", "no split") else {})
    )
    table[3] |= spoilt
    if fault == "a wrong split":
        table = [row | {"site": "train"} if row["site"] == "a" else row for row in table]
    with pytest.raises(UsageError, match=said):
        load(written(tmp_path, table), **options)


LISTS = [
    ("prompt", {"prompt": "q"}, {"q": ["a", "b"]}, r"row 0 .*: prompt of type list.*it is one text"),
    ("answer", {}, {"answer": {"text": "a"}}, r"row 0 .*: answer of type dict"),
    ("numbers", {}, {"answer": 1.5}, r"row 0 .*: answer of type float .*1.5"),
    ("truths", {}, {"answer": True}, r"row 0 .*: answer of type bool"),
    ("choices", {"choices": "c"}, {"c": "red"}, r"row 0 .*: choices that are no list"),
    (
        "none of them",
        {"choices": "c"},
        {"c": ["x", "y"]},
        r"row 0 .*: answer among no choices .*'a 0', they are 'x', 'y'",
    ),
]


@pytest.mark.parametrize(
    ("options", "cells", "said"), [case[1:] for case in LISTS], ids=[c[0] for c in LISTS]
)
def test_columns_of_another_type_are_refused(options, cells, said, tmp_path):
    table = [{**row, **cells} for row in rows(20)]
    with pytest.raises(UsageError, match=said):
        load(written(tmp_path, table), **options)


def test_mixed_types_of_a_column_are_refused_in_one_line(tmp_path):
    table = rows(20)
    table[7]["answer"] = 7
    with pytest.raises(UsageError, match=r"can't read data 'image-text' in .*answer.*string.*number"):
        load(written(tmp_path, table))
    shutil.copytree(tmp_path, tmp_path / "json")
    (tmp_path / "json" / "rows.jsonl").unlink()
    (tmp_path / "json" / "rows.json").write_text(
        json.dumps([{**row, "image": f"{row['image']}.png"} for row in table])
    )
    with pytest.raises(UsageError, match=r"column 'answer' has values of several types"):
        load(tmp_path / "json")
    (tmp_path / "one").mkdir()
    for name, value in (("a", "text"), ("b", 7)):
        pq.write_table(
            pa.table({"image": ["x.png"], "answer": [value]}), tmp_path / "one" / f"{name}.parquet"
        )
    with pytest.raises(UsageError, match=r"files of data 'image-text' disagree .*b.parquet.*answer"):
        load(tmp_path / "one")


def test_broken_rows_may_be_left_out_and_are_counted(tmp_path):
    table = rows(40)
    table[3]["answer"], table[5]["answer"] = None, " "
    folder = written(tmp_path, table)
    (folder / "9.png").write_bytes(png(9)[:45])
    data = load(folder, skip_broken=True)
    assert data.left_out == {"no answer": (3, 5), "truncated image": (9,)}
    assert len(content_answers(data)) == 37
    assert "2 of 40 rows are left out, such as row 3 of rows.jsonl: no answer" in data.notes


def test_data_without_any_image_that_can_be_read_is_refused(tmp_path):
    folder = written(tmp_path, rows(20))
    for path in folder.glob("*.png"):
        path.write_bytes(b"none of " + path.name.encode())
    said = r"no row that can be used .*: not an image in 20 of 20, such as row 0 of rows.jsonl"
    with pytest.raises(UsageError, match=said):
        load(folder, skip_broken=True)
    with pytest.raises(UsageError, match=r"can't read the image of row \d+ of rows.jsonl"):
        load(folder).images[0]


def tar_without_samples(folder):
    with tarfile.open(folder / "x.tar", "w"):
        pass


PLACES = {
    "no such path": (lambda folder: folder / "gone", r"there is no folder or file '.*gone'"),
    "no table": (lambda folder: folder, r"data 'image-text' has no table files .* it looked for .parquet"),
    "another file": (lambda folder: folder / "a.txt", r"can't be read .*: it is none of .parquet"),
    "several formats": (lambda folder: folder / "both", r"tables of several formats .*: such as x.csv, y"),
    "an empty CSV": (lambda folder: folder / "empty.csv", r"can't read data 'image-text' .*Empty CSV"),
    "a header only": (lambda folder: folder / "header.csv", r"data 'image-text' has no rows"),
    "a ragged CSV": (lambda folder: folder / "ragged.csv", r"can't read data .*Expected 2 columns, got 3"),
    "Latin-1": (lambda folder: folder / "latin.csv", r"can't read data .*UTF8"),
    "no JSON": (lambda folder: folder / "bad.jsonl", r"can't read data .*JSON parse error"),
    "no Parquet": (lambda folder: folder / "bad.parquet", r"can't read data .*Parquet"),
    "an empty tar": (lambda folder: folder / "x.tar", r"can't read data 'image-text' in .*x.tar"),
    "an object": (lambda folder: folder / "object.json", r"can't read data .*it is no list of objects"),
}  # fmt: skip


@pytest.mark.parametrize("fault", PLACES)
def test_places_that_hold_no_table_are_refused_and_nothing_is_left(fault, tmp_path, monkeypatch):
    monkeypatch.setenv("FEDBENCH_CACHE", str(tmp_path / "cache"))
    path, said = PLACES[fault]
    if fault != "no table":
        (tmp_path / "both").mkdir()
        (tmp_path / "both" / "x.csv").write_text("image,answer\n1.png,a\n")
        (tmp_path / "both" / "y.jsonl").write_text('{"image": "1.png"}\n')
        (tmp_path / "a.txt").touch()
        (tmp_path / "empty.csv").touch()
        (tmp_path / "header.csv").write_text("image,answer\n")
        (tmp_path / "ragged.csv").write_text("image,answer\n1.png,a,b\n")
        (tmp_path / "latin.csv").write_bytes("image,answer\n1.png,é\n".encode("latin-1"))
        (tmp_path / "bad.jsonl").write_text("{]\n")
        (tmp_path / "bad.parquet").write_text("x")
        (tmp_path / "object.json").write_text("{}")
        tar_without_samples(tmp_path)
    with pytest.raises(UsageError, match=said) as raised:
        load(path(tmp_path))
    assert "\n" not in str(raised.value)
    assert not list((tmp_path / "cache").rglob("*.*"))


TOO_LITTLE = [
    (rows(2), {}, r"data 'image-text' is too small .* none for"),
    (
        rows(20, answer=lambda i: "same"),
        {},
        r"has nothing to ask in 'test/choice' .* name other data.options.suites",
    ),
    (rows(20), {"suites": ["yesno"]}, r"has nothing to ask in 'test/yesno' .*: no answer is yes or no"),
]


@pytest.mark.parametrize(("table", "options", "said"), TOO_LITTLE, ids=["rows", "answers", "yes or no"])
def test_data_with_too_little_to_ask_is_refused(table, options, said, tmp_path):
    with pytest.raises(UsageError, match=said):
        load(written(tmp_path, table), **options)


SENSELESS = [
    ({"prompt": "a", "prompt_text": "b"}, "give one"),
    ({"answer_as": "letter"}, "needs choices"),
    ({"suites": []}, "at least one"),
    ({"shares": {"test": 0.5, "validation": 0.5}}, "nothing to learn from"),
    ({"choices_within": "kind"}, "none of labels"),
    ({"anser": "x"}, "has no option 'anser'"),
]


@pytest.mark.parametrize(("options", "said"), SENSELESS, ids=[next(iter(case[0])) for case in SENSELESS])
def test_options_that_make_no_sense_are_refused(options, said):
    with pytest.raises(UsageError, match=said):
        validated(ImageTextOptions, {"path": "x", **options}, "data 'image-text'")
