"""easy-VQA as a federation of question types: true to the package, disjoint, balanced, fair to the blind."""

import random
import socket
import subprocess
import sys
from collections import Counter, defaultdict

import easy_vqa
import numpy as np
import pytest
from fedbench_easyvqa import blind
from fedbench_easyvqa.dataset import easyvqa, put, read
from fedbench_easyvqa.hooks import SCENARIOS, EasyVQAOptions
from fedbench_easyvqa.questions import COLORS, SHAPES, YESNO, Question, balanced, shortened

from fedbench.api.options import validated
from fedbench.data.partitioners import LabelOptions, natural
from fedbench.errors import UsageError
from fedbench.evaluation.metrics import ChoiceAccuracy
from fedbench.fingerprint import sha256_bytes
from fedbench.results.store import find_records, read_record
from fedbench.scenario_files import load_scenario

TASKS = {
    "what-color": set(COLORS),
    "what-shape": set(SHAPES),
    "yesno-color": set(YESNO),
    "yesno-shape": set(YESNO),
}
CHANCE = (1 / 8 + 1 / 3 + 1 / 2 + 1 / 2) / 4
WORDS = {
    "what is the color of the circle?": ("teal", "what-color", "what color?"),
    "what is the blue shape?": ("circle", "what-shape", "what is this?"),
    "does the image contain a gray shape?": ("no", "yesno-color", "is it gray?"),
    "is there a triangle in the image?": ("yes", "yesno-shape", "is it triangle?"),
    "is no blue shape present?": ("yes", "yesno-color", "is it not blue?"),
    "does the image not contain a circle?": ("no", "yesno-shape", "is it not circle?"),
}


@pytest.fixture(scope="module")
def scenario():
    return load_scenario(SCENARIOS / "easyvqa-tasks.toml")


@pytest.fixture(scope="module")
def data(scenario):
    return easyvqa(validated(EasyVQAOptions, scenario.data.options, "data"))


@pytest.fixture(scope="module")
def published():
    """All that easy-VQA's own package says is asked: (image's bytes, question, answer)."""
    halves = (
        (easy_vqa.get_train_questions(), easy_vqa.get_train_image_paths()),
        (easy_vqa.get_test_questions(), easy_vqa.get_test_image_paths()),
    )
    return {
        (paths[image], text, answer)
        for questions, paths in halves
        for text, answer, image in zip(*questions, strict=True)
    }


def asked(data):
    """(image, prompt, answer) of every pair and item, once."""
    items = [item for suite in data.suites.values() for item in suite.items]
    return {(entry.image, entry.prompt, entry.answer) for entry in (*data.pairs, *items)}


def test_it_loads_offline_and_is_the_data_that_the_scenario_pins(scenario, monkeypatch):
    def refused(*arguments, **settings):
        raise AssertionError("the network was asked")

    monkeypatch.setattr(socket, "socket", refused)
    data = easyvqa(validated(EasyVQAOptions, scenario.data.options, "data"))
    assert data.images[0].size == (64, 64) and data.images[0].mode == "RGB"
    assert data.fingerprint == scenario.data.sha256
    assert 6000 < len(data.pairs) < 9000 and len(set(data.pairs)) == len(data.pairs)
    assert EasyVQAOptions() == validated(EasyVQAOptions, scenario.data.options, "data")


def test_importing_the_data_package_loads_nothing_else():
    code = "import sys; before = set(sys.modules); import easy_vqa\n"
    code += "sys.exit(any(m.split('.')[0] in ('numpy', 'PIL', 'torch') for m in set(sys.modules) - before))"
    assert subprocess.run([sys.executable, "-c", code], timeout=60).returncode == 0


def test_no_image_is_both_learned_from_and_asked_about(data):
    pixels = {}
    pools = {"train": {pair.image for pair in data.pairs}}
    for suite in data.suites.values():
        pools.setdefault(suite.split, set()).update(item.image for item in suite.items)
    for pool, images in pools.items():
        for image in images:
            pixels.setdefault(sha256_bytes(data.images[image].tobytes()), set()).add(pool)
    assert set(pools) == {"train", "validation", "test"}
    assert all(len(found) == 1 for found in pixels.values())
    paths = set(easy_vqa.get_test_image_paths().values())
    assert all(
        (str(data.images.paths[image]) in paths) == (pool == "test")
        for pool in pools
        for image in pools[pool]
    )


def test_a_client_is_a_task_and_an_image_is_a_unit_of_each(data, scenario):
    deal = natural(validated(LabelOptions, scenario.partition.options, "partition"))
    partition = deal(data, scenario.federation.clients, scenario.folder)
    tasks = np.array(data.labels["task"])
    for shard, held, (task, answers) in zip(
        partition.shards(data), partition.evaluation, TASKS.items(), strict=True
    ):
        pairs = [data.pairs[i] for i in shard]
        assert {pair.answer for pair in pairs} == answers
        assert {tasks[data.units[pair.image]] for pair in pairs} == {task} == set(tasks[held])
        assert ("is it" in pairs[0].prompt) == task.startswith("yesno")
    about = [{pair.prompt for pair in (data.pairs[i] for i in shard)} for shard in partition.shards(data)]
    assert about[2] == {f"is it {color}?" for color in COLORS}
    assert about[3] == {f"is it {shape}?" for shape in SHAPES}
    assert sum(map(len, partition.shards(data))) == len(data.pairs)
    assert len(set(data.units.tolist())) == len(data.images) > len(set(data.images.paths))


@pytest.mark.parametrize("options", [{}, {"wording": "original", "negated": True, "items": 72}], ids=str)
def test_questions_are_fair(options):
    data = easyvqa(EasyVQAOptions(images=600, **options))
    items = options.get("items", 120)
    for task, answers in TASKS.items():
        for split in ("validation", "test"):
            suite = data.suites[f"{split}/{task}"]
            assert len(suite.items) == items
            assert all(set(item.choices) == answers and item.answer in answers for item in suite.items)
            assert Counter(item.answer for item in suite.items) == dict.fromkeys(
                answers, items // len(answers)
            )
            if suite.form == "yesno":
                assert all(item.choices == ("yes", "no") for item in suite.items)
    texts = defaultdict(Counter)
    for source, entries in {"train": data.pairs, **{k: s.items for k, s in data.suites.items()}}.items():
        for entry in entries:
            texts[source, entry.prompt][entry.answer] += 1
    yesno = [counts for counts in texts.values() if not {"yes", "no"}.isdisjoint(counts)]
    assert len(yesno) > 20 and all(counts["yes"] == counts["no"] for counts in yesno)
    whole = data.suites["test/answer"].items
    assert Counter(whole) == sum((Counter(data.suites[f"test/{task}"].items) for task in TASKS), Counter())


def test_the_original_wording_asks_what_easy_vqa_asks(published):
    data = easyvqa(EasyVQAOptions(images=300, wording="original", negated=True))
    found = {(str(data.images.paths[image]), prompt, answer) for image, prompt, answer in asked(data)}
    assert found <= published
    plain = easyvqa(EasyVQAOptions(images=300, wording="original"))
    assert not {"no", "not"} & {word for _, prompt, _ in asked(plain) for word in prompt.split()}


def test_short_questions_have_the_images_own_answers(data, published):
    """What an image shows is read off the answers to easy-VQA's open questions."""
    shown = defaultdict(set)
    for path, _, answer in published:
        if answer not in YESNO:
            shown[path].add(answer)
    checked = 0
    for image, prompt, answer in asked(data):
        truth = shown[str(data.images.paths[image])]
        known = COLORS if "color" in prompt or prompt.split()[-1].strip("?") in COLORS else SHAPES
        if right := truth & set(known):
            said = {prompt.removeprefix("is it ").strip("?")} if answer in YESNO else {answer}
            assert (said == right) == (answer != "no"), (prompt, answer, truth)
            checked += 1
    assert checked > 6000


@pytest.mark.parametrize("text", WORDS)
def test_a_question_is_shortened_and_keeps_its_task(text):
    answer, task, short = WORDS[text]
    question = Question("train", 0, text, answer)
    assert question.task == task
    assert shortened(question) == Question("train", 0, short, answer)
    assert shortened(question).task == task and shortened(question).negated == question.negated


def test_options_decide_what_is_asked():
    questions = [Question("train", 0, text, answer) for text, (answer, _, _) in WORDS.items()]
    assert list(put(questions, EasyVQAOptions(wording="original", negated=True))) == questions
    assert len(list(put(questions, EasyVQAOptions()))) == 4


def test_blind_accuracy_is_what_counting_gives():
    """Recounted with loops, on the published questions, where answers are skewed, and on unbalanced texts."""

    def recount(training, wanted):
        hits = 0
        for text, answer in wanted:
            seen = sorted(a for t, a in training if t == text)
            hits += answer == max(dict.fromkeys(seen), key=seen.count, default=None)
        return hits / len(wanted)

    train = [(q.text, q.answer) for q in read("train")][:3000]
    test = [(q.text, q.answer) for q in read("test")][:300]
    found = blind.accuracy(blind.majority(train), test)
    assert found == pytest.approx(recount(train, test)) and 0.4 < found < 0.9
    data = easyvqa(EasyVQAOptions(images=300, items=48, wording="original"))
    training = [(pair.prompt, pair.answer) for pair in data.pairs]
    for key, value in blind.by_suite(data).items():
        wanted = [(item.prompt, item.answer) for item in data.suites[key].items]
        assert value == pytest.approx(recount(training, wanted)), key


def test_the_published_questions_are_skewed_and_the_scenarios_are_not(data):
    published = blind.as_published()
    assert published["yes/no"] > 0.8 and published["all"] > 0.6
    found = blind.by_suite(data)
    assert found["test/answer"] == pytest.approx(CHANCE) and found["test/yesno-color"] == 0.5


def test_who_sees_only_the_text_is_right_at_the_blind_rate_whatever_it_believes(data):
    items = data.suites["test/answer"].items
    for seed in range(3):
        rng = random.Random(seed)
        belief = defaultdict(rng.random)
        scores = [[belief[item.prompt, choice] for choice in item.choices] for item in items]
        found = ChoiceAccuracy().compute(
            scores=scores,
            blind=[[0.0] * len(row) for row in scores],
            answer=[item.choices.index(item.answer) for item in items],
            group=[item.group for item in items],
        )
        assert found["raw_accuracy"]["value"] == pytest.approx(CHANCE)


def test_more_questions_than_there_are_is_a_usage_error():
    with pytest.raises(UsageError, match=r"2400 questions for 'what-color' can't be balanced .* fewer items"):
        easyvqa(EasyVQAOptions(items=2400))
    one_sided = [Question("train", i, "is it red?", "no") for i in range(50)]
    with pytest.raises(UsageError, match=r"24 questions for 'yesno-color' .* 50 in all"):
        balanced(one_sided, "yesno-color", 24, random.Random(0))
    with pytest.raises(UsageError, match="multiple of 24"):
        validated(EasyVQAOptions, {"items": 100}, "data 'easy-vqa'")


def test_a_damaged_package_is_named(monkeypatch):
    monkeypatch.setattr(easy_vqa, "get_test_image_paths", dict)
    with pytest.raises(UsageError, match=r"can't read easy-VQA: KeyError.* — reinstall easy-vqa"):
        easyvqa(EasyVQAOptions(images=50, items=24))

    def torn():
        raise ValueError("Expecting value: line 1")

    monkeypatch.setattr(easy_vqa, "get_train_questions", torn)
    with pytest.raises(UsageError, match=r"can't read easy-VQA: ValueError.*Expecting value"):
        easyvqa(EasyVQAOptions())


@pytest.mark.slow
def test_a_small_run_end_to_end(tmp_path, monkeypatch):
    monkeypatch.setenv("FEDBENCH_CACHE", str(tmp_path / "cache"))
    command = [sys.executable, "-m", "fedbench", "run", "-m", "fedavg", "-s", "easyvqa-tasks"]
    changes = {"data.options.images": 40, "data.options.items": 24, "data.sha256": "none"}
    changes |= {"federation.rounds": 2, "training.hidden": 32}
    command += [part for key, value in changes.items() for part in ("--set", f"{key}={value}")]
    done = subprocess.run(
        [*command, "--executor", "serial", "--output", str(tmp_path / "runs")],
        capture_output=True, text=True, timeout=200,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    (path,) = find_records([tmp_path / "runs"])
    record = read_record(path)
    assert record.status == "completed" and len(record.rounds) == 3
    assert record.rounds[0].digest != record.rounds[-1].digest
    assert set(record.rounds[-1].clients) == {"0", "1", "2", "3"}
    assert record.final["test/answer/raw_accuracy"].n == 96
    assert {f"test/{task}" for task in TASKS} < {name.rpartition("/")[0] for name in record.final}
    assert "test/answer/raw_accuracy" in record.controls["shuffled"]
    assert record.spread.worst <= record.final[record.primary].value
