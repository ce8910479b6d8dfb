"""The preference benchmarks: real answers, no picture in two hands, clients are tasks, a policy to align."""

import json
from collections import Counter, defaultdict

import easy_vqa
import numpy as np
import pytest
import torch
from fedbench_easyvqa.questions import COLORS, SHAPES, YESNO
from fedbench_emoji.dataset import read_drawings
from fedbench_emoji.views import Views
from fedbench_preferences import backbone
from fedbench_preferences.dataset import domains, easyvqa, emoji
from fedbench_preferences.digits import WORDS, digits
from fedbench_preferences.drawings import KINDS, drawings
from fedbench_preferences.hooks import SCENARIOS, PreferenceOptions
from fedbench_preferences.shapes import shapes
from PIL import Image
from sklearn.datasets import load_digits

from fedbench.api.options import validated
from fedbench.catalog import Catalog
from fedbench.data.loading import load_data, load_partition
from fedbench.errors import UsageError
from fedbench.fingerprint import sha256_bytes
from fedbench.jobs import plan_jobs
from fedbench.models.policy import Policy, Questions
from fedbench.models.projector import Projector
from fedbench.plugins import Plugins
from fedbench.results.store import read_record
from fedbench.runner import Runner
from fedbench.scenario_files import load_scenario

MADE = {"prefs-emoji": emoji, "prefs-easyvqa": easyvqa, "prefs-domains": domains}
CLIENTS = {
    "prefs-emoji": ["artist", "category", "kind"],
    "prefs-easyvqa": ["color", "shape", "yes-no"],
    "prefs-domains": ["digits", "drawings", "shapes"],
}
HELD_OUT = {
    "prefs-emoji": {"verification"},
    "prefs-easyvqa": {"shape-yes-no"},
    "prefs-domains": {"digits-yes-no", "drawings-category", "shapes-yes-no"},
}
PATHS = sorted(SCENARIOS.glob("*.toml"))


@pytest.fixture(scope="module")
def catalog():
    return Catalog(Plugins())


@pytest.fixture(scope="module")
def made():
    return {name: make(PreferenceOptions()) for name, make in MADE.items()}


@pytest.fixture(scope="module")
def policy(catalog):
    return catalog.backbones["nano-vlm"].create(None).freeze(torch.device("cpu"))


def content(image):
    return sha256_bytes(image.convert("RGB").resize((64, 64), Image.Resampling.NEAREST).tobytes())


def hands(data):
    """Who has which images: clients, the server's two sets, the tests."""
    items = [item for suite in data.suites.values() for item in suite.items]
    found = {"clients": data.pairs, "queries": data.queries, "comparisons": data.comparisons, "test": items}
    return {hand: {entry.image for entry in entries} for hand, entries in found.items()}


@pytest.fixture(scope="module")
def truth():
    """{content of a picture: what is true of it}, read from the packages that have the pictures."""
    found = {}
    rows, encoded = read_drawings()
    kept = [drawing for drawing in rows if drawing.concept.kind in KINDS]
    for drawing, image in zip(kept, Views(encoded, [(d.row, 0) for d in kept]), strict=True):
        found[content(image)] = {drawing.artist, drawing.concept.kind, drawing.concept.category}
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
    for image, digit in zip(digits().images, load_digits().target, strict=True):
        found[content(image)] = {WORDS[digit]}
    return found


@pytest.mark.parametrize("name", MADE)
def test_no_picture_is_in_two_hands(made, name):
    """By pixels; the start policy's training is a hand, too."""
    data, owners = made[name], defaultdict(set)
    for hand, images in hands(data).items():
        for image in images:
            owners[content(data.images[image])].add(hand)
    for source in (drawings(), shapes(), digits()):
        for image, pool in zip(source.images, source.pools, strict=True):
            if pool == "start":
                owners[content(image)].add("start")
    assert all(len(found) == 1 for found in owners.values())
    assert Counter(hand for found in owners.values() for hand in found).keys() == {*hands(data), "start"}


def test_pictures_keep_their_pools_whatever_the_seed(made):
    other = emoji(PreferenceOptions(seed=1))
    assert other.fingerprint != made["prefs-emoji"].fingerprint
    pixels = [
        {hand: {content(data.images[i]) for i in images} for hand, images in hands(data).items()}
        for data in (made["prefs-emoji"], other)
    ]
    for ours, found in pixels[0].items():
        assert all(not found & pixels[1][theirs] for theirs in pixels[1] if theirs != ours)


@pytest.mark.parametrize("name", MADE)
def test_preferred_is_the_truth_and_rejected_what_a_sibling_is(made, truth, name):
    data = made[name]
    siblings = defaultdict(set)
    for pair in (*data.pairs, *data.comparisons):
        siblings[data.labels["task"][pair.image], pair.prompt].add(pair.chosen)
    known = set().union(*truth.values())
    checked = Counter()
    for pair in (*data.pairs, *data.comparisons):
        task, facts = data.labels["task"][pair.image], truth[content(data.images[pair.image])]
        if pair.chosen in YESNO:
            said = pair.prompt.removeprefix("is it ").strip("?")
            assert said in known and (said in facts) == (pair.chosen == "yes")
        else:
            assert pair.chosen in facts and pair.rejected not in facts and pair.rejected in known
        assert pair.rejected in siblings[task, pair.prompt] - {pair.chosen}, pair
        checked[task] += 1
    assert checked == dict.fromkeys(CLIENTS[name], 460)
    for item in (*data.queries, *data.suites["test/overall"].items):
        said = item.prompt.removeprefix("is it ").strip("?")
        facts = truth[content(data.images[item.image])]
        assert (said in facts) == (item.answer == "yes") if item.answer in YESNO else item.answer in facts


@pytest.mark.parametrize("name", MADE)
def test_questions_are_balanced(made, name):
    data = made[name]
    own, others = data.suites["test/own"].items, data.suites["test/held-out"].items
    tasks = data.labels["task"]
    assert Counter(tasks[item.image] for item in own) == dict.fromkeys(CLIENTS[name], 150)
    assert {tasks[item.image] for item in others} == HELD_OUT[name] and 190 < len(others) <= 200
    assert data.suites["test/overall"].items == own + others
    assert Counter(tasks[item.image] for item in data.queries) == dict.fromkeys(CLIENTS[name], 120)
    for asked in (own, others, data.queries):
        counts = defaultdict(Counter)
        for item in asked:
            counts[tasks[item.image], item.prompt][item.answer] += 1
        for answers in counts.values():
            spread = max(answers.values()) - min(answers.values())
            if {*answers} & {*YESNO}:
                assert spread == 0, "the text of a yes/no question says nothing"
            elif asked is not data.queries:
                assert spread <= 2, "and the tests have every answer alike, as far as there are pictures"
        assert max(Counter((item.image, item.prompt) for item in asked).values()) == 1
    assert {suite.form for suite in data.suites.values()} == {"generate"}


@pytest.mark.parametrize("path", PATHS, ids=lambda path: path.stem)
def test_a_client_is_a_task_and_the_pins_are_right(path, catalog, policy):
    scenario = load_scenario(path)
    resolved = catalog.resolve(scenario)
    resolved.backbone.check_pin(policy.fingerprint)
    data = load_data(resolved)
    partition = load_partition(resolved, data)
    assert all(part.sha256 for part in scenario.parts.values())
    tasks = np.array(data.labels["task"])
    names = CLIENTS[data.name]
    sizes = scenario.data.options.get("sizes", dict.fromkeys(names, 400))
    for client, shard in enumerate(partition.shards(data)):
        assert {tasks[data.units[data.pairs[i].image]] for i in shard} == {names[client]}
        assert len(shard) == sizes[names[client]]
    for item in data.suites["test/overall"].items:
        owner = partition.client_of(data.units[item.image])
        task = tasks[data.units[item.image]]
        assert owner == (names.index(task) if task in names else None)


def test_the_start_policy_is_as_good_as_recorded(made, policy):
    """And no better: there is something to gain on every client's task."""
    recorded = json.loads((backbone.FILE.parent / "training.json").read_text())["greedy_exact_match"]
    assert recorded.keys() == made.keys()
    for name in made:
        assert 0.3 < recorded[name]["test/own"] < 0.7
        assert all(recorded[name][f"test/own/{label}"] < 0.9 for label in CLIENTS[name])
    items = made["prefs-emoji"].suites["test/own"].items
    features = policy.encode([made["prefs-emoji"].images[item.image] for item in items])
    projector = Projector.holding(policy.projector, features.shape[-1], policy.width)
    start = Policy(policy, projector, policy.projector, features)
    asked = Questions(torch.arange(len(items)), start.llm.prompt_ids([item.prompt for item in items]))
    answers = start.texts(start.sample(asked, 1, limit=12, temperature=0, stream=None))
    right = [answer == item.answer for answer, item in zip(answers, items, strict=True)]
    assert np.mean(right) == pytest.approx(recorded["prefs-emoji"]["test/own"], abs=0.01)


def test_every_answer_fits_the_scenarios_limit(made, policy):
    answers = {pair.chosen for data in made.values() for pair in data.pairs}
    answers |= {item.answer for data in made.values() for item in data.suites["test/overall"].items}
    longest = max(len(policy.tokenizer(f" {answer}")["input_ids"]) + 1 for answer in answers)
    assert longest <= min(load_scenario(path).policy.max_tokens for path in PATHS)
    assert all(policy.tokenizer.decode(policy.tokenizer(f" {a}")["input_ids"]) == f" {a}" for a in answers)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"sizes": {"naming": 100}}, r"no client 'naming' to give a size — .*artist, category, kind"),
        ({"pairs": 100_000}, r"100000 questions of task 'artist' can't be balanced for clients: .* ask for"),
        ({"items": 1200}, r"1200 questions of task 'artist' can't be balanced for test"),
    ],
    ids=str,
)
def test_what_can_not_be_made_is_a_usage_error(options, message):
    with pytest.raises(UsageError, match=message) as caught:
        emoji(PreferenceOptions(**options))
    assert "\n" not in str(caught.value)


def test_bad_options_are_named():
    with pytest.raises(UsageError, match=r"option 'sizes'.*multiple of 2"):
        validated(PreferenceOptions, {"sizes": {"kind": 3}}, "data 'prefs-emoji'")
    with pytest.raises(UsageError, match="has no option 'size'"):
        validated(PreferenceOptions, {"size": 3}, "data 'prefs-emoji'")


def test_damaged_weights_are_named(tmp_path, monkeypatch):
    monkeypatch.setattr(backbone, "FILE", tmp_path / "policy.safetensors")
    for content in (None, b"", backbone.__doc__.encode()):
        if content is not None:
            backbone.FILE.write_bytes(content)
        with pytest.raises(UsageError, match=r"can't read the start policy in .*: .* — reinstall") as caught:
            backbone.nano_vlm(None)
        assert "\n" not in str(caught.value)


@pytest.mark.slow
def test_a_small_run_with_three_architectures(catalog, tmp_path, monkeypatch):
    monkeypatch.setenv("FEDBENCH_CACHE", str(tmp_path / "cache"))
    small = {"pairs": 16, "queries": 6, "comparisons": 6, "items": 16, "held_out": 16}
    changes = {f"data.options.{key}": value for key, value in small.items()}
    changes |= {"data.sha256": None, "partition.sha256": None, "rewards.epochs": 1}
    changes |= {"federation.rounds": 1, "policy.steps": 2, "policy.queries": 3}
    (job,) = plan_jobs(
        catalog, methods=["reward-mean"], scenarios=["prefs-heterogeneous"], seeds=[0],
        options={}, changes=changes, output=tmp_path / "runs",
    )  # fmt: skip
    record = read_record(Runner(catalog, torch.device("cpu"), "serial").run(job))
    assert record.status == "completed" and record.rounds[0].digest != record.rounds[1].digest
    assert record.final["test/own/exact_match"].n == 48 and record.final["test/overall/exact_match"].n == 64
    assert set(record.rounds[-1].clients) == {"0", "1", "2"}
    kinds = [line["client"] for line in record.rounds[0].diagnostics["reward_models"]]
    assert kinds == [0, 1, 2]


def test_it_is_shown(fedbench):
    code, out, err = fedbench("show", "scenario", "prefs-heterogeneous")
    assert (code, err) == (0, "")
    for shown in ("nano-vlm", "rewards.models.2.architecture  cross", "artist", "policy.steps"):
        assert shown in out
