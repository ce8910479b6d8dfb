"""The papers' data sets as preferences and captions: faithful, disjoint by image, refused where unsound."""

import os
import random
from collections import Counter
from dataclasses import astuple

import pytest
import tiny_tables as tables
from fedbench_papers.captions import cc12m
from fedbench_papers.mme import mme_realworld
from fedbench_papers.options import CC12M, POVID, MMERealWorld, VLFeedback
from fedbench_papers.rated import povid, vlfeedback
from fedbench_papers.splits import deal

from fedbench.api.options import validated
from fedbench.data import AlignmentData, PreferenceData
from fedbench.errors import UsageError


@pytest.fixture(autouse=True)
def _cache(tmp_path_factory, monkeypatch):
    monkeypatch.setenv("FEDBENCH_CACHE", str(tmp_path_factory.getbasetemp() / "papers-cache"))


@pytest.fixture(scope="module")
def shelf(tmp_path_factory):
    return tables.shelf(tmp_path_factory.mktemp("shelf"))


HELD_OUT = ["table", "count"]
DOMAINS = {"detail": ["SVIT"], "medical": ["LLaVAMed", "PMC"], "ocr": ["LLaVAR"]}


def from_mme(shelf, **options):
    return mme_realworld(MMERealWorld(path=str(shelf / "mme"), held_out=HELD_OUT, **options))


def from_vlfeedback(shelf, **options):
    options = {"clients": ["detail", "medical"], "held_out": ["ocr"], "domains": DOMAINS} | options
    return vlfeedback(VLFeedback(path=str(shelf / "vlfeedback"), **options))


def from_povid(shelf, **options):
    return povid(POVID(path=str(shelf / "povid"), **{"images": str(shelf / "coco")} | options))


def from_cc12m(shelf, **options):
    return cc12m(CC12M(path=str(shelf / "cc12m"), **options))


MAKERS = [from_mme, from_vlfeedback, from_povid, from_cc12m]


def pools(data):
    """{what for: the images' pixels}."""
    found = {"train": [pair.image for pair in data.pairs]}
    if isinstance(data, PreferenceData):
        found["queries"] = [query.image for query in data.queries]
        found["comparisons"] = [comparison.image for comparison in data.comparisons]
    for suite in data.suites.values():
        found.setdefault(suite.split, []).extend(item.image for item in suite.items)
    return {name: {data.images[i].tobytes() for i in images} for name, images in found.items()}


@pytest.mark.parametrize("make", MAKERS)
def test_what_is_shown_in_one_split_is_shown_in_no_other(make, shelf):
    data = make(shelf)
    found = pools(data)
    assert len(found) == (2 if isinstance(data, AlignmentData) else 4)
    assert sum(map(len, found.values())) == len(set().union(*found.values()))
    assert all(picture.mode == "RGB" for picture in data.images)
    assert len(data.images) == len(data.units) == len(set(data.units.tolist()))
    assert {len(values) for values in data.labels.values()} == {len(data.units)}


@pytest.mark.parametrize("make", MAKERS)
def test_data_is_a_function_of_its_options(make, shelf):
    first, again, other = make(shelf), make(shelf), make(shelf, seed=1)
    assert first.fingerprint == again.fingerprint != other.fingerprint
    assert pools(first)["train"] != pools(other)["train"]
    few = make(shelf, per_client=5)
    assert 0 < len(few.images) < len(first.images)


def told(data):
    """All that is asked and answered, with the pixels it is about, in any order."""
    entries = [*data.pairs, *data.queries, *data.comparisons]
    entries += [item for suite in data.suites.values() for item in suite.items]
    return sorted((data.images[e.image].tobytes(), *map(str, astuple(e)[1:])) for e in entries)


def test_splits_do_not_depend_on_the_order_of_the_rows(shelf, tmp_path):
    rows = tables.mme()
    # All of an image's rows are alike in label, but for the one that two subtasks share.
    random.Random(0).shuffle(rows)
    tables.write(tmp_path / "mme", rows)
    assert told(from_mme(tmp_path)) == told(from_mme(shelf))


def test_in_mme_realworld_the_right_option_is_preferred_to_a_wrong_one(shelf):
    data = from_mme(shelf)
    right = {(row["bytes"], row["question"]): row["answer"] for row in tables.mme()}
    by_pixels = {
        (tables.picture(number, picture).tobytes(), question): right[row["bytes"], row["question"]]
        for number in range(5)
        for picture in range(10)
        for question, row in enumerate(tables.mme()[20 * number + 2 * picture :][:2])
    }
    wrong = set()
    for pair in (*data.pairs, *data.comparisons):
        number = int(pair.prompt.partition("thing ")[2][0])
        assert pair.chosen == by_pixels[data.images[pair.image].tobytes(), number] != pair.rejected
        assert all(option in pair.prompt for option in tables.OFFERED)
        wrong.add(pair.rejected)
    assert wrong == set("ABCDE")
    own, held_out = ("diagram", "book_map_poster", "position"), tuple(HELD_OUT)
    suites = {name: suite for key, suite in data.suites.items() for name in [key.removeprefix("test/")]}
    assert set(suites) == {"own", "held-out", "overall", *own, *held_out}
    assert {suite.form for suite in suites.values()} == {"generate"}
    assert set(suites["overall"].items) == {*suites["own"].items, *suites["held-out"].items}
    shared = tables.picture(0, 0).tobytes()
    asked = {data.images[item.image].tobytes() for item in suites["held-out"].items}
    assert shared not in asked and len(asked) == 19, "diagram's image is not held out with count"


def test_in_vlfeedback_the_best_rated_answer_is_preferred_to_the_worst(shelf):
    data = from_vlfeedback(shelf)
    every = [*data.pairs, *data.comparisons]
    assert every and all(p.chosen.startswith("good") and p.rejected.startswith("bad") for p in every)
    assert set(data.labels["domain"]) == {"detail", "medical", "ocr"}
    assert not any("tie" in p.prompt or "domain" in p.prompt for p in every), "unrated and unlisted rows"
    assert {item.answer[:4] for item in data.suites["test/own"].items} == {"good"}


def test_in_povid_the_untouched_answer_is_preferred(shelf):
    data = from_povid(shelf)
    for pair in data.pairs:
        assert pair.prompt == "what is there?", "without the image's placeholder"
        assert pair.rejected == pair.chosen.replace("dog", "dog, a frisbee")
    with pytest.raises(UsageError, match=r"names files .*'image' is text — set data.files.images"):
        from_povid(shelf, images=None)


def test_in_cc12m_a_client_is_a_cluster_and_captions_are_told_apart(shelf):
    data = from_cc12m(shelf)
    assert isinstance(data, AlignmentData) and len(set(data.labels["cluster"])) == 5
    for pair in data.pairs:
        cluster = data.labels["cluster"][pair.image]
        assert pair.answer.endswith(f"of {cluster}") and pair.prompt == "Describe the image."
    for item in data.suites["test/match"].items:
        assert item.answer in item.choices and 1 < len(set(item.choices)) == len(item.choices) <= 4
        assert len({choice.rpartition(" ")[2] for choice in item.choices}) == 1, "all of one cluster"


def spoilt(rows, **changes):
    """The first row with other cells."""
    return [{**rows[0], **changes}, *rows[1:]]


def renamed(rows, old, new):
    return [{new if name == old else name: cell for name, cell in row.items()} for row in rows]


def unequal(rows, better, worse):
    cell = rows[0]["completions"]
    return spoilt(rows, completions=cell | {"response": ["", better, "", worse]})


BAD_TABLES = {
    "a column is missing": (
        mme_realworld, MMERealWorld, lambda: renamed(tables.mme(), "question", "q"), None,
        r"data 'mme-realworld' has no column 'question' in \S+: its columns are .* — take the version",
    ),
    "an empty answer": (
        mme_realworld, MMERealWorld, lambda: spoilt(tables.mme(), answer=" "), None,
        r"row 0 of data 'mme-realworld' has an empty answer in \S+: chosen is '', .* — take the row out, or",
    ),
    "no question": (
        vlfeedback, VLFeedback, lambda: spoilt(tables.vlfeedback(), prompt=None), tables.VLFEEDBACK,
        "row 0 of data 'vlfeedback' has no question",
    ),
    "an answer that is no option": (
        mme_realworld, MMERealWorld, lambda: spoilt(tables.mme(), answer="F"), None,
        "row 0 .* can't be compared .*: its answer is 'F', its options are A, B, C, D, E",
    ),
    "no options": (
        mme_realworld, MMERealWorld,
        lambda: spoilt(tables.mme(), **{"multi-choice options": []}), None, "'A', its options are none",
    ),
    "an empty better answer": (
        vlfeedback, VLFeedback, lambda: unequal(tables.vlfeedback(), "", "x"), tables.VLFEEDBACK,
        "row 0 of data 'vlfeedback' has an empty answer",
    ),
    "two equal answers": (
        vlfeedback, VLFeedback, lambda: unequal(tables.vlfeedback(), "same", "same "), tables.VLFEEDBACK,
        r"row 0 of data 'vlfeedback' prefers an answer to itself .*'same'.* — take the row out, or set data",
    ),
    "no such domain": (
        vlfeedback, VLFeedback, lambda: renamed_ids(tables.vlfeedback()), tables.VLFEEDBACK,
        "no row of the domains detail, medical, ocr: ids begin with .*x-0.* — say in data.options.domains",
    ),
    "twins alike": (
        povid, POVID,
        lambda: spoilt(tables.povid()[0], rejected_conversations=tables.povid()[0][0]["conversations"]), None,
        "row 0 of data 'povid' prefers an answer to itself",
    ),
    "a file that is not there": (
        povid, POVID, lambda: spoilt(tables.povid()[0], image="gone.jpg"), None,
        "can't read the image of row 0 of .* of data 'povid': .*No such file .* — download it again",
    ),
    "not base64": (
        mme_realworld, MMERealWorld, lambda: spoilt(tables.mme(), bytes="a"), None,
        "can't read the image of row 0 of .* of data 'mme-realworld'",
    ),
    "an empty caption": (
        cc12m, CC12M, lambda: spoilt(tables.cc12m(), txt=None), tables.CC12M,
        "row 0 of data 'cc12m' has an empty caption",
    ),
    "no clusters": (
        cc12m, CC12M, lambda: renamed(tables.cc12m(), "cluster", "c"), None, "has no column 'cluster'"
    ),
    "too few images": (
        mme_realworld, MMERealWorld, lambda: tables.mme(images=3), None,
        "has too few images of 'diagram': test, queries, comparisons and the clients need at least one each",
    ),
}  # fmt: skip


def renamed_ids(rows):
    return [{**row, "id": f"x-{i}"} for i, row in enumerate(rows)]


def settings(kind, shelf):
    more = {
        VLFeedback: {"clients": list(DOMAINS), "domains": DOMAINS},
        POVID: {"images": str(shelf / "coco")},
    }
    return more.get(kind, {})


@pytest.mark.parametrize("fault", BAD_TABLES)
def test_unsound_data_is_refused_in_one_line(fault, shelf, tmp_path):
    make, kind, rows, features, message = BAD_TABLES[fault]
    folder = tables.write(tmp_path / "rows", rows(), features)
    with pytest.raises(UsageError, match=message):
        make(kind(path=str(folder), **settings(kind, shelf)))


def test_broken_rows_may_be_left_out(shelf, tmp_path):
    rows = unequal(tables.vlfeedback(), "same", "same")
    folder = tables.write(tmp_path / "vlfeedback", rows, tables.VLFEEDBACK)
    data = from_vlfeedback(tmp_path, skip_broken=True)
    asked = [*data.pairs, *data.queries, *data.comparisons, *data.suites["test/own"].items]
    whole = from_vlfeedback(shelf)
    before = [*whole.pairs, *whole.queries, *whole.comparisons, *whole.suites["test/own"].items]
    assert len(asked) == len(before) - 1 and folder.is_dir()


def test_files_that_are_no_parquet_and_folders_without_any_are_named(tmp_path):
    with pytest.raises(UsageError, match=r"data 'mme-realworld' has no parquet files in .* — set data"):
        mme_realworld(MMERealWorld(path=str(tmp_path)))
    (tmp_path / "train.parquet").write_text("not parquet at all")
    with pytest.raises(UsageError, match=r"can't read data 'mme-realworld' in .* — download its"):
        mme_realworld(MMERealWorld(path=str(tmp_path)))


def test_an_image_that_is_none_is_named_when_it_is_looked_at(tmp_path):
    rows = tables.mme()
    rows = [{**row, "bytes": "QUJD" + row["bytes"]} for row in rows]
    data = from_mme_at(tables.write(tmp_path / "mme", rows))
    with pytest.raises(UsageError, match=r"can't read the image of row .* not an image"):
        data.images[0]


def from_mme_at(folder, **options):
    return mme_realworld(MMERealWorld(path=str(folder), **options))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (
            {"clients": ["diagramm"]},
            "has no subtask 'diagramm' — did you mean 'diagram'",
        ),
        ({"held_out": ["position"]}, "'position' is both a client's and held out"),
        ({"test": 0.5, "queries": 0.4, "comparisons": 0.1}, "leave the clients no images"),
        ({"clients": []}, "bad value .* for option 'clients'"),
    ],
)
def test_options_that_make_no_sense_are_refused(options, message, shelf):
    with pytest.raises(UsageError, match=message):
        mme_realworld(
            validated(MMERealWorld, {"path": str(shelf / "mme"), **options}, "data 'mme-realworld'")
        )


def captioned(folder, rows, features=None, **options):
    features = features or {**tables.CC12M}
    path = tables.write(folder, rows, features)
    return cc12m(CC12M(path=str(path), **options))


def all_captions(data):
    return sorted(
        [pair.answer for pair in data.pairs] + [i.answer for i in data.suites["test/caption"].items]
    )


def test_every_row_of_an_image_is_kept_and_all_of_them_are_in_one_split(tmp_path):
    rows = [{**row, "txt": f"{row['txt']}, view {view}"} for row in tables.cc12m(2, 6) for view in range(3)]
    data = captioned(tmp_path / "rows", rows)
    assert all_captions(data) == sorted(row["txt"] for row in rows)
    assert len(data.images) == 12 and len(pools(data)["train"] & pools(data)["test"]) == 0
    assert data.notes == ["24 of 36 rows repeat an image; all its captions are in one split"]
    for item in data.suites["test/match"].items:
        own = {i.answer for i in data.suites["test/caption"].items if i.group == item.group}
        assert own & set(item.choices) == {item.answer}, "another caption of the image is no wrong choice"


def test_a_list_of_captions_is_so_many_captions(tmp_path):
    rows = [{**row, "txt": [row["txt"], f"again {row['txt']}"]} for row in tables.cc12m(2, 6)]
    data = captioned(tmp_path / "rows", rows, {**tables.CC12M, "txt": [tables.TEXT]})
    assert all_captions(data) == sorted(caption for row in rows for caption in row["txt"])


@pytest.mark.parametrize(
    ("spoil", "said"),
    [
        ({"txt": None}, "row 0 of data 'cc12m' has an empty caption"),
        (
            {"cluster": None},
            "row 0 of data 'cc12m' has no cluster .*: 1 of 12 rows have none in column 'cluster'",
        ),
    ],
)
def test_a_row_without_caption_or_cluster_is_named(tmp_path, spoil, said):
    with pytest.raises(UsageError, match=said):
        captioned(tmp_path / "rows", spoilt(tables.cc12m(2, 6), **spoil))


def test_a_caption_that_is_a_number_is_refused(tmp_path):
    rows = [{**row, "txt": 7} for row in tables.cc12m(2, 6)]
    with pytest.raises(UsageError, match="row 0 of data 'cc12m' has a caption of type int"):
        captioned(tmp_path / "rows", rows, {**tables.CC12M, "txt": tables.datasets.Value("int64")})


def test_shares_are_of_the_whole(shelf):
    options = MMERealWorld(path=str(shelf / "mme"), clients=["a"], test=0.3, queries=0.3, comparisons=0.3)
    split = deal(options, {"a": map(str, range(120))}, ["a"], (), {"test": 0.3, "queries": 0.3, "more": 0.3})
    assert Counter(split.values()) == {"test": 36, "queries": 36, "more": 36, "train": 12}


def test_a_data_sets_own_test_split_is_not_trained_on(tmp_path):
    folder = tables.write(tmp_path / "rows" / "train", tables.cc12m(2, 6), tables.CC12M)
    tables.write(tmp_path / "rows" / "test", tables.cc12m(2, 9), tables.CC12M)
    (tmp_path / "rows" / "test" / "train-00000.parquet").rename(tmp_path / "rows" / "test" / "0.parquet")
    (tmp_path / "rows" / "test" / "train-00001.parquet").rename(tmp_path / "rows" / "test" / "1.parquet")
    data = cc12m(CC12M(path=str(folder.parent)))
    assert len(data.images) == 12
    assert data.notes[0].startswith("18 rows of its own split 'test' are left out (test/0.parquet, …)")


def test_rows_that_are_tied_or_of_no_domain_are_counted(shelf):
    data = from_vlfeedback(shelf)
    assert any(
        note.startswith("1 of 31 rows are left out, such as row 30: their answers") for note in data.notes
    )
    assert any("of 32 rows are of no domain that is named" in note for note in data.notes)


def test_a_null_turn_is_named_with_its_row(tmp_path, shelf):
    rows, _ = tables.povid()
    rows[0]["conversations"] = [None, {"from": "gpt", "value": None}]
    folder = tables.write(tmp_path / "rows", rows)
    with pytest.raises(UsageError, match="row 0 of data 'povid' has no question"):
        povid(POVID(path=str(folder), images=str(shelf / "coco")))


def test_tables_are_cached_by_content_and_read_from_a_cache_that_can_not_be_written(tmp_path, monkeypatch):
    """The same file name and time stamp with other rows is another table."""
    monkeypatch.setenv("FEDBENCH_CACHE", str(tmp_path / "cache"))
    folder = tables.write(tmp_path / "rows", tables.cc12m(2, 6), tables.CC12M)
    before = [(path, path.stat()) for path in folder.iterdir()]
    first = cc12m(CC12M(path=str(folder)))
    (tmp_path / "elsewhere").mkdir()
    tables.write(folder, [{**row, "txt": f"new {row['txt']}"} for row in tables.cc12m(2, 6)], tables.CC12M)
    for path, stat in before:
        os.utime(path, ns=(stat.st_atime_ns, stat.st_mtime_ns))
    assert all(answer.startswith("new ") for answer in all_captions(cc12m(CC12M(path=str(folder)))))
    assert not any(answer.startswith("new ") for answer in all_captions(first))
    monkeypatch.setattr("tempfile.mkstemp", lambda **settings: pytest.fail("nothing is written"))
    assert cc12m(CC12M(path=str(folder))).fingerprint


def test_advice_names_options_that_the_data_has(tmp_path):
    rows = [{**row, "jpg": "a.jpg"} for row in tables.cc12m(2, 6)]
    with pytest.raises(
        UsageError, match=r"name the column that holds the images in data.options.image_column"
    ):
        captioned(tmp_path / "rows", rows, {**tables.CC12M, "jpg": tables.TEXT})
