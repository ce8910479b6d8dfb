"""Instruction tuning: true answers, no picture in two hands, fair choices, codebooks that conflict."""

import json
import random
from collections import Counter, defaultdict

import easy_vqa
import pytest
import torch
from fedbench_easyvqa.questions import COLORS, SHAPES, YESNO
from fedbench_emoji.dataset import read_drawings
from fedbench_emoji.views import Views
from fedbench_tuning import backbone
from fedbench_tuning.dataset import tuning
from fedbench_tuning.hooks import SCENARIOS, TuningOptions
from fedbench_tuning.pictures import family, pictures
from fedbench_tuning.questions import ARTISTS, CATEGORIES, LETTERS, TASKS
from PIL import Image

from fedbench.api.options import validated
from fedbench.catalog import Catalog
from fedbench.data.loading import load_data, load_partition
from fedbench.errors import UsageError
from fedbench.evaluation.metrics import ChoiceAccuracy
from fedbench.fingerprint import sha256_bytes
from fedbench.models.projector import Projector
from fedbench.plugins import Plugins
from fedbench.scenario_files import load_scenario

PATHS = sorted(SCENARIOS.glob("*.toml"))
CLOSED = {"category": CATEGORIES, "artist": ARTISTS, "color": COLORS, "shape": SHAPES}
CHANCE = {"kind": 1 / 4, **{task: 1 / len(answers) for task, answers in CLOSED.items()}}
CODED = {"tasks": ["category", "artist", "color", "shape"], "pairs": 24, "items": 24, "codebooks": 6}


@pytest.fixture(scope="module")
def catalog():
    return Catalog(Plugins())


@pytest.fixture(scope="module")
def data():
    return tuning(TuningOptions(pairs=120, items=48))


@pytest.fixture(scope="module")
def coded():
    return tuning(validated(TuningOptions, CODED, "data"))


def content(image):
    return sha256_bytes(image.convert("RGB").tobytes())


@pytest.fixture(scope="module")
def truth():
    """{content of a picture: what is true of it}, read from the packages that have the pictures."""
    found = {}
    rows, encoded = read_drawings()
    for row, image in zip(rows, Views(encoded, [(row.row, 0) for row in rows]), strict=True):
        concept = row.concept
        found[content(image)] = {row.artist, concept.kind, concept.category}
    for questions, paths in (
        (easy_vqa.get_train_questions(), easy_vqa.get_train_image_paths()),
        (easy_vqa.get_test_questions(), easy_vqa.get_test_image_paths()),
    ):
        shown = defaultdict(set)
        for text, answer, image in zip(*questions, strict=True):
            said = set(text.strip("?").split())
            right = {answer} if answer not in YESNO else said if answer == "yes" else set()
            shown[image] |= right & {*COLORS, *SHAPES} if not said & {"no", "not"} else set()
        for image, facts in shown.items():
            with Image.open(paths[image]) as picture:
                found[content(picture)] = facts
    return found


def hands(data):
    """{client, validation and test: the images that each has}."""
    found = {"clients": {pair.image for pair in data.pairs}}
    for suite in data.suites.values():
        found.setdefault(suite.split, set()).update(item.image for item in suite.items)
    return found


def test_no_picture_and_no_concept_is_in_two_hands(data):
    """By pixels, and by the drawings' concepts; the start's training is a hand, too."""
    owners = defaultdict(set)
    for hand, images in hands(data).items():
        for image in images:
            owners[content(data.images[image])].add(hand)
            if data.labels["artist"][image] in ARTISTS:
                owners[data.labels["concept"][image]].add(hand)
    listed, images = pictures()
    for number, picture in enumerate(listed):
        if picture.pool == "public":
            owners[content(images[number])].add("public")
            if picture.source == "drawing":
                owners[picture.concept].add("public")
    assert all(len(found) == 1 for found in owners.values())
    assert set().union(*owners.values()) == {"public", "clients", "validation", "test"}


def test_variants_of_one_drawing_are_in_one_pool():
    pools = defaultdict(set)
    for picture in pictures()[0]:
        if picture.source == "drawing" and picture.pool in ("public", "clients"):
            pools[family(picture.facts["name"])].add(picture.pool)
    assert all(len(found) == 1 for found in pools.values())
    assert family("woman running") == family("person running") == family("man running") == "running"


def test_answers_are_true(data, truth):
    checked = Counter()
    items = [item for task in TASKS for item in data.suites[f"test/{task}"].items]
    for entry in (*data.pairs, *items):
        task, facts = data.labels["task"][entry.image], truth[content(data.images[entry.image])]
        if task.endswith("yesno"):
            said = entry.prompt.removeprefix("is it ").strip("?")
            assert (said in facts) == (entry.answer == "yes")
        else:
            assert entry.answer in facts
        checked[task] += 1
    assert checked == dict.fromkeys(TASKS, 168)


def test_wrong_choices_are_wrong(data, truth):
    for item in data.suites["test/answer"].items:
        facts = truth[content(data.images[item.image])]
        if item.choices != YESNO:
            assert [choice for choice in item.choices if choice in facts] == [item.answer]


@pytest.mark.parametrize("split", ["validation", "test"])
def test_whoever_sees_only_the_text_is_right_by_chance_whatever_it_believes(data, split):
    for task in TASKS:
        suite = data.suites[f"{split}/{task}"]
        assert suite.form == ("yesno" if task.endswith("yesno") else "choice")
        words = {choice for item in suite.items for choice in item.choices}
        rng = random.Random(f"{split} {task}")
        belief = {(item.prompt, word): rng.random() for item in suite.items for word in sorted(words)}
        found = ChoiceAccuracy().compute(
            scores=[[belief[item.prompt, word] for word in item.choices] for item in suite.items],
            blind=[[0.0] * len(item.choices) for item in suite.items],
            answer=[item.choices.index(item.answer) for item in suite.items],
            group=[item.group for item in suite.items],
        )
        assert found["raw_accuracy"]["value"] == pytest.approx(CHANCE.get(task, 1 / 2)), task


def test_yes_and_no_questions_say_nothing_of_their_answer(data):
    texts = defaultdict(Counter)
    for source, entries in {"clients": data.pairs, "test": data.suites["test/answer"].items}.items():
        for entry in entries:
            texts[source, entry.prompt][entry.answer] += 1
    yesno = [counts for counts in texts.values() if set(counts) & set(YESNO)]
    assert len(yesno) > 20 and all(counts["yes"] == counts["no"] for counts in yesno)


def test_the_mixed_suites_are_all_tasks(data):
    for split in ("validation", "test"):
        every = sum((Counter(data.suites[f"{split}/{task}"].items) for task in TASKS), Counter())
        assert Counter(data.suites[f"{split}/answer"].items) == every
        asked = [(i.image, i.prompt, i.answer) for i in data.suites[f"{split}/answer"].items]
        assert [(i.image, i.prompt, i.answer) for i in data.suites[f"{split}/generate"].items] == asked


def test_codebooks_conflict_where_they_are_used_and_nowhere_else(coded, truth):
    said = defaultdict(dict)
    for entry in (*coded.pairs, *coded.suites["test/answer"].items):
        task, book = coded.labels["task"][entry.image], coded.labels["codebook"][entry.image]
        facts = truth[content(coded.images[entry.image])]
        if task in ("category", "color"):
            (fact,) = facts & set(CLOSED[task])
            assert said[task, fact].setdefault(book, entry.answer) == entry.answer in LETTERS
        else:
            assert entry.answer in facts
    assert len(said) == 16
    for answers in said.values():
        assert len(answers) == 6 == len(set(answers.values())), "no two clients agree"
    for task in ("category", "color"):
        for book in range(6):
            letters = {answers[f"codebook {book}"] for (t, _), answers in said.items() if t == task}
            assert letters == set(LETTERS)


def test_options_decide_what_is_asked():
    data = tuning(TuningOptions(tasks=("color", "artist"), pairs=24, items=24))
    assert set(data.labels["task"]) == {"artist", "color"} and len(data.pairs) == 48
    assert set(data.labels["codebook"]) == {"plain"}
    other = tuning(TuningOptions(tasks=("color", "artist"), pairs=24, items=24, seed=1))
    assert other.fingerprint != data.fingerprint
    with pytest.raises(UsageError, match=r"there is no task 'colour' — did you mean 'color'"):
        tuning(TuningOptions(tasks=("colour",)))
    with pytest.raises(UsageError, match=r"4800 questions of task 'artist' can't be balanced: .* fewer"):
        tuning(TuningOptions(tasks=("artist",), pairs=4800))


@pytest.mark.parametrize("path", PATHS, ids=lambda path: path.stem)
def test_a_scenario_is_what_it_pins_and_every_client_has_items_of_its_own(path, catalog):
    scenario = load_scenario(path)
    resolved = catalog.resolve(scenario)
    data = load_data(resolved)
    partition = load_partition(resolved, data)
    assert data.fingerprint == scenario.data.sha256
    assert partition.fingerprint == scenario.partition.sha256
    own = Counter(partition.client_of(data.units[item.image]) for item in data.suites["test/answer"].items)
    assert sum(own.values()) == len(data.suites["test/answer"].items)
    assert len(own) >= 0.95 * scenario.federation.clients and None not in own


def test_the_start_is_nano_with_a_projector(catalog):
    sighted, blind = (catalog.backbones[name].create(None) for name in ("nano-sighted", "nano"))
    assert sighted.encoder == blind.encoder and sighted.fingerprint != blind.fingerprint
    for name, weights in sighted.llm.state_dict().items():
        assert torch.equal(weights, blind.llm.state_dict()[name])
    projector = Projector.holding(sighted.projector, 112, sighted.width)
    assert projector.hidden == 256 and sighted.projector.isfinite().all()
    record = json.loads((backbone.FILE.parent / "training.json").read_text())
    assert record["loss_last_50"] < record["loss_first_50"]
    for path in PATHS:
        assert load_scenario(path).backbone.sha256 == sighted.fingerprint


def test_a_damaged_projector_is_named(monkeypatch, tmp_path, catalog):
    path = tmp_path / "projector.safetensors"
    path.write_bytes(b"not a projector")
    monkeypatch.setattr(backbone, "FILE", path)
    with pytest.raises(UsageError, match=r"can't read the pre-trained projector in .* reinstall"):
        catalog.backbones["nano-sighted"].create(None)
