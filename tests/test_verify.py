"""The ladder: what verification refuses, and the words it does so with. Every record here was real once."""

import json
import os
import zipfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from records_of_ours import PLACE, PRIMARY, RECORDS, assign, edited, everywhere, put, sealed, values

from fedbench.api.scenario import load_scenario
from fedbench.catalog import Catalog
from fedbench.errors import FedbenchError, UsageError
from fedbench.leaderboard.adding import add
from fedbench.leaderboard.notes import notes
from fedbench.plugins import Plugins
from fedbench.results.layout import run_id
from fedbench.verification import submission
from fedbench.verification.ladder import Level, run_again, verify


@pytest.fixture(scope="module")
def catalog():
    return Catalog(Plugins(strict=True))


@pytest.fixture
def judged(catalog, tmp_path):
    """``level, problem = judged(record)``"""

    def judge(record, place=PLACE):
        (verdict,) = verify([put(tmp_path, record, place)], catalog)
        return verdict.level.name, verdict.problem

    return judge


def test_every_committed_record_is_consistent(catalog):
    verdicts = verify([RECORDS], catalog)
    assert len(verdicts) >= 265
    assert [(v.path, v.problem) for v in verdicts if v.level != Level.consistent] == []


def test_an_honest_record_passes_alone(judged):
    assert judged(values()) == ("consistent", "")


# --- valid: form, hashes, what is installed


def _version(number):
    return lambda record: record["scenario"].update(version=number)


def _provider(record):
    record["method"]["provider"]["plugin"] = "../../evil"


NOT_VALID = {
    "an edited metric": (
        lambda r: assign(r, ["final", PRIMARY, "value"], 0.9), False,
        "record_id is not the hash of its content: it was changed after it was written",
    ),
    "a record_id of something else": (
        lambda r: r.update(record_id="0" * 64), False, "record_id is not the hash of its content",
    ),
    "a wrong fingerprint": (
        lambda r: r["scenario"].update(fingerprint="0" * 64), True,
        "its scenario's fingerprint is not that of emoji-tt@1 as installed",
    ),
    "another version of the scenario": (_version(7), True, "it is of emoji-tt@7, installed is emoji-tt@1"),
    "a scenario that is not there": (
        lambda r: r["scenario"].update(name="emoji-zz"), True, "unknown scenario 'emoji-zz'",
    ),
    "a scenario's name that leaves the folder": (
        lambda r: r["scenario"].update(name="../../etc/passwd"), True, "holds a way out of the folder",
    ),
    "a provider's name that leaves the folder": (_provider, True, "holds a way out of the folder"),
    "a name that is none": (
        lambda r: r["method"].update(name="fed avg"), True, "method.name is not a name",
    ),
    "changes that it does not admit": (
        lambda r: r["scenario"].update(changes={"training.lr": 1.0}), True,
        "its scenario's fingerprint is not that",
    ),
    "changes that no scenario takes": (
        lambda r: r["scenario"].update(changes={".".join("abcdefgh" * 50): 1}), True,
        "the changes to its scenario are none that emoji-tt takes",
    ),
    "an option that the method has not": (
        lambda r: r["method"].update(options={"luck": 1}), True, "method 'fedavg' has no option 'luck'",
    ),
    "another request": (lambda r: r.update(run_id="0" * 64), True, "run_id is not the hash of what it says"),
    "a seed below zero": (lambda r: r.update(seed=-1), True, "its seed is -1"),
    "a run that did not complete": (
        lambda r: r.update(status="cancelled"), True, "it is cancelled, only completed runs count",
    ),
    "a digest that is none": (
        lambda r: r["rounds"][3].update(digest="deadbeef"), True, "the digest of round 3 is not a sha256",
    ),
    "an unknown field": (lambda r: r.update(luck=1), True, "luck: Extra inputs are not permitted"),
    "an unknown field of a measure": (
        lambda r: r["final"][PRIMARY].update(luck=1), True, "luck: Unexpected keyword argument",
    ),
    "an unknown schema version": (
        lambda r: r.update(schema_version=99), True, "schema_version: 99 is unknown, this fedbench reads",
    ),
    "1e308": (
        lambda r: r["rounds"][2].update(loss=1e308), True, "a number is beyond anything measured",
    ),
    "a number of 400 digits": (
        lambda r: r["environment"].update(x=10**400), True, "a number is beyond anything measured",
    ),
    "a text of 5 MB": (
        lambda r: r.update(error="x" * 5_000_000), True, "holds more than 10000 characters",
    ),
    "a text that turns the line around": (
        lambda r: r.update(error="a\u202eb"), True, "holds a control character",
    ),
    "a text that clears the terminal": (
        lambda r: r.update(error="\x1b[2J"), True, "holds a control character",
    ),
}  # fmt: skip


@pytest.mark.parametrize(("change", "seal", "said"), NOT_VALID.values(), ids=NOT_VALID.keys())
def test_what_is_not_valid(judged, change, seal, said):
    level, problem = judged(edited(change, seal=seal))
    assert level == "unverified" and said in problem
    assert len(problem) < 300 and problem.isprintable()


RAW = {
    "truncated": (lambda text: text[: len(text) // 2], "it is not JSON"),
    "NaN": (lambda text: text.replace('"loss": 1.', '"loss": NaN, "x": 1.', 1), "NaN is not a number"),
    "1e999": (lambda text: text.replace('"loss": 1.', '"loss": 1e999, "x": 1.', 1), "1e999 is too large"),
    "deeply nested": (
        lambda text: text.replace('"diagnostics": {}', '"diagnostics": ' + "[" * 10**5 + "]" * 10**5, 1),
        "it is nested too deeply",
    ),
    "a bit nested": (
        lambda text: text.replace('"diagnostics": {}', '"diagnostics": ' + "[" * 30 + "]" * 30, 1),
        "it is nested too deeply",
    ),
    "a key twice": (lambda text: '{"seed": 5,' + text[1:], "the key 'seed' is there twice"),
    "10 MB": (lambda text: text[:-1] + ', "x": "' + "x" * 10_000_000 + '"}', "it is larger than 8 MB"),
    "empty": (lambda text: "", "it is not JSON"),
}  # fmt: skip


@pytest.mark.parametrize(("damage", "said"), RAW.values(), ids=RAW.keys())
def test_what_is_not_even_json(catalog, tmp_path, damage, said):
    path = put(tmp_path, values())
    path.write_text(damage(path.read_text()))
    (verdict,) = verify([path], catalog)
    assert verdict.level == Level.unverified and said in verdict.problem


def texts(value, path=()):
    """The path of every text in a record, and of every key; of a list's items, the last one's."""
    if isinstance(value, dict):
        for key, inner in value.items():
            yield (*path, key), "key"
            yield from texts(inner, (*path, key))
    elif isinstance(value, list):
        if value:
            yield from texts(value[-1], (*path, len(value) - 1))
    elif isinstance(value, str):
        yield path, "text"


SCRIPT = "<script>alert(1)</script>"


def test_script_in_every_text_and_key_is_refused_and_never_quoted(catalog, tmp_path):
    found = list(texts(values()))
    assert len(found) > 300
    paths = []
    for number, (path, kind) in enumerate(found):

        def inject(record, path=path, kind=kind):
            *outer, last = path
            for key in outer:
                record = record[key]
            if kind == "key":
                record[SCRIPT] = record.pop(last)
            else:
                record[last] = SCRIPT

        paths.append(put(tmp_path / str(number), edited(inject, seal=path != ("record_id",))))
    for path, verdict in zip(found, verify(paths, catalog), strict=True):
        assert verdict.level == Level.unverified, path
        assert verdict.problem and "<" not in verdict.problem


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("/home/me/runs", "an absolute path"),
        ("--output=/srv/data", "an absolute path"),
        (r"C:\Users\me", "an absolute path"),
        ("~/runs", "an absolute path"),
        ("file:///etc/passwd", "an absolute path"),
        (r"\\server\share", "an absolute path"),
        ("../../etc", "a way out of the folder"),
        ("a/../../b", "a way out of the folder"),
        ("..", "a way out of the folder"),
        ("<img src=x onerror=alert(1)>", "markup"),
        ("<!--", "markup"),
        ("javascript:alert(1)", "markup"),
        ("ghp_" + "a1B2" * 9, "what looks like a secret"),
        ("hf_" + "aB" * 17, "what looks like a secret"),
        ("sk-proj-" + "abc123" * 5, "what looks like a secret"),
        ("AKIAIOSFODNN7EXAMPLE", "what looks like a secret"),
        ("-----BEGIN OPENSSH PRIVATE KEY-----", "what looks like a secret"),
        ("https://me:hunter2@example.org", "what looks like a secret"),
        ("PASSWORD=hunter22", "what looks like a secret"),
    ],
)
def test_texts_that_do_not_belong_in_public(judged, text, said):
    level, problem = judged(edited(lambda r: r["environment"].update(platform=text)))
    assert level == "unverified" and f"holds {said}" in problem


@pytest.mark.parametrize(
    "text", ["a/b/c", "https://example.org/x", "1 < 2, 3 > 2", "nats/token", "café…", "v1..v2"]
)
def test_texts_that_do(judged, text):
    assert judged(edited(lambda r: r["environment"].update(platform=text))) == ("consistent", "")


# --- consistent: arithmetic


def _share_of(record, name, factor):
    for entry in record["rounds"]:
        entry["costs"][name] = int(entry["costs"][name] * factor)
    record["costs"][name] = sum(entry["costs"][name] for entry in record["rounds"])


def _examples(record):
    record["rounds"][1]["costs"]["client_examples"] -= 100
    record["costs"]["client_examples"] -= 100


def _uplink_of_a_round(record):
    record["rounds"][1]["costs"]["uplink_bytes"] //= 2
    record["costs"]["uplink_bytes"] = sum(entry["costs"]["uplink_bytes"] for entry in record["rounds"])


def _no_bytes(record):
    _share_of(record, "uplink_bytes", 0)
    _share_of(record, "downlink_bytes", 0)


def _client(record):
    record["rounds"][-1]["clients"]["0"]["value"] = 0.5


def _rounds_away(record):
    del record["rounds"][-3:]
    totals = [entry["costs"] for entry in record["rounds"]]
    record["costs"] = {name: sum(costs[name] for costs in totals) for name in totals[0]}


def _twin_round(record):
    record["rounds"][5]["digest"] = record["rounds"][4]["digest"]


def _cohort(record):
    record["rounds"][2]["cohort"] = [0, 1, 2, 3]


def _fewer_bytes_than_parameters(record):
    _share_of(record, "uplink_bytes", 0.5)
    _share_of(record, "downlink_bytes", 0.5)


NOT_CONSISTENT = {
    "a metric at the end only": (
        lambda r: assign(r, ["final", PRIMARY, "value"], 400 / 476),
        f"{PRIMARY} at the end is not that of the last round",
    ),
    "a metric that no count gives": (
        lambda r: everywhere(r, 0.9), "is 0.9, which is not a count out of 476",
    ),
    "a metric that its clients do not give": (
        lambda r: everywhere(r, 400 / 476), f"round 10: {PRIMARY} is 0.840336, its clients' items give",
    ),
    "a metric above one": (
        lambda r: assign(r, ["final", "unseen-concept/yesno/f1", "value"], 1.5), "is 1.5, not a share",
    ),
    "a metric of 1e12": (lambda r: everywhere(r, 1e12), "is 1e+12, not a share"),
    "a client's metric": (_client, "spread.mean is 0.572177, its clients give 0.54637"),
    "the worst client": (lambda r: r["spread"].update(worst=0.6), "spread.worst is 0.6, its clients give"),
    "a metric that was not asked for": (
        lambda r: r["final"].update({"luck/all/accuracy": r["final"][PRIMARY]}),
        "at the end: its scenario does not ask for luck/all",
    ),
    "a metric that is missing": (
        lambda r: [r["rounds"][4]["metrics"].pop(name) for name in list(r["rounds"][4]["metrics"])],
        "round 4: unseen-concept/category was not measured",
    ),
    "a control that is missing": (
        lambda r: r.update(controls={}), "its controls are none, not the scenario's",
    ),
    "parameters twice": (_twin_round, "rounds 4 and 5 have the same parameters but other measures"),
    "a cost in total": (
        lambda r: r["costs"].update(uplink_bytes=1), "costs.uplink_bytes is 1, its rounds add up to",
    ),
    "a cost of a round": (_uplink_of_a_round, "uplink_bytes per client that trained differ between rounds"),
    "a cost of all rounds": (
        _fewer_bytes_than_parameters,
        "uplink_bytes per client that trained is 156544; the parameters alone are 313088",
    ),
    "a cost that is no number of numbers": (
        lambda r: _share_of(r, "uplink_bytes", 1.000003), "uplink_bytes per client that trained is",
    ),
    "no bytes at all": (_no_bytes, "its clients learn from each other, but no byte was sent"),
    "no bytes down": (
        lambda r: _share_of(r, "downlink_bytes", 0), "it sends parameters that nobody was given",
    ),
    "examples": (_examples, "client_examples, scenario and seed give"),
    "seconds": (
        lambda r: r.update(wall_seconds=0.5), "wall_seconds is 0.5, its rounds alone took",
    ),
    "seconds that were not there": (
        lambda r: r.update(wall_seconds=9999.0), "wall_seconds is 9999.0, between start and finish lie",
    ),
    "fewer rounds": (_rounds_away, "it has 7 of 10 rounds, and no budget ended it"),
    "a budget that is none": (
        lambda r: r.update(stopped="budget: 5 examples"),
        "it says that a budget ended it, but no round is missing",
    ),
    "rounds in another order": (
        lambda r: r["rounds"].reverse(), "its rounds are not numbered from 0 on",
    ),
    "round numbers beyond all rounds": (
        lambda r: r["rounds"][-1].update(round=10**9), "its rounds are not numbered from 0 on",
    ),
    "a cohort": (_cohort, "round 2: cohort is not what scenario and seed give"),
    "somebody left out": (
        lambda r: r["rounds"][2].update(left_out={"1": "dropped out"}),
        "round 2: left_out is not what scenario and seed give",
    ),
    "a client too few": (
        lambda r: r["data"]["client_examples"].pop(), "its clients are not the scenario's 5",
    ),
    "another unit on the way": (
        lambda r: r["rounds"][4]["metrics"][PRIMARY].update(value=1.5, unit="points"),
        "round 4: unseen-concept/category/accuracy has another unit or direction than elsewhere",
    ),
    "another direction at the end": (
        lambda r: [m[PRIMARY].update(better="lower") for m in (r["rounds"][-1]["metrics"], r["final"])],
        "has another unit or direction than elsewhere",
    ),
    "another backbone": (
        lambda r: r["data"].update(backbone_fingerprint="0" * 64),
        "its backbone is not the one that the scenario pins",
    ),
    "a moment that is none": (lambda r: r.update(started="yesterday"), "started or finished is not a moment"),
}  # fmt: skip


@pytest.mark.parametrize(("change", "said"), NOT_CONSISTENT.values(), ids=NOT_CONSISTENT.keys())
def test_what_does_not_add_up(judged, change, said):
    """Sealed again after the edit: only arithmetic can tell."""
    level, problem = judged(edited(change))
    assert (level, said in problem) == ("valid", True), problem


FUSED = Path("prefs-emoji-tasks@1", "mor", "seed-0", "record.json")


def _first(record):
    return record["rounds"][1]


def _cost_of_a_round(name, factor):
    def change(record):
        _first(record)["costs"][name] = int(factor * _first(record)["costs"][name])
        record["costs"][name] = sum(entry["costs"][name] for entry in record["rounds"])

    return change


def _fitted_for_nothing(record):
    record["costs"]["client_examples"] -= record["rounds"][0]["costs"]["client_examples"]
    record["rounds"][0]["costs"]["client_examples"] = 0


def _trained_on_the_way(record):
    _first(record)["costs"]["client_examples"] += 10
    record["costs"]["client_examples"] += 10


def _asked_friends(record):
    """Judges that the engine does not know, whom asking costs nothing."""
    for entry in record["rounds"]:
        if asked := entry["diagnostics"].get("asked"):
            entry["diagnostics"]["asked"] = {name.replace("client", "friend"): n for name, n in asked.items()}
        entry["cohort"] = []
        entry["costs"].update(uplink_bytes=0, downlink_bytes=0)
    record["costs"].update(uplink_bytes=0, downlink_bytes=0)


def _figure(name, value):
    return lambda record: assign(_first(record), ["metrics", name, "value"], value)


NOT_FUSED_SO = {
    "fewer bytes up": (_cost_of_a_round("uplink_bytes", 0.5), "800 uplink_bytes, 400 rewards are 1600"),
    "no bytes down": (_cost_of_a_round("downlink_bytes", 0), "0 downlink_bytes for 400 answers"),
    "fewer asked": (
        lambda r: _first(r)["diagnostics"]["asked"].update({"client 0": 0}), "1600 uplink_bytes, ",
    ),
    "more asked than answered": (
        lambda r: _first(r)["diagnostics"]["asked"].update({"client 0": 500}),
        "somebody was asked about 500 answers, the policy wrote 400 at most",
    ),
    "nobody says who was asked": (
        lambda r: _first(r)["diagnostics"].pop("asked"), "it does not say whom it asked",
    ),
    "nobody was asked": (
        lambda r: _first(r)["diagnostics"].update(asked={}), "it does not say whom it asked",
    ),
    "others were asked in another round": (
        lambda r: r["rounds"][2]["diagnostics"]["asked"].pop("client 0"),
        "round 2: it does not say whom it asked",
    ),
    "the true reward": (
        lambda r: [entry["diagnostics"]["asked"].update(gold=0) for entry in r["rounds"][1:]],
        "it asks for the true reward, which is for the installed gold-reward only",
    ),
    "asked is a text": (
        lambda r: _first(r)["diagnostics"].update(asked="everybody"), "it does not say whom it asked",
    ),
    "a client that is none": (
        lambda r: _first(r)["diagnostics"]["asked"].update({"client 7": 0}), "it asked client 7 of 3",
    ),
    "a cohort": (lambda r: _first(r).update(cohort=[0, 1]), "its cohort is not whom it asked"),
    "an attacker": (
        lambda r: _first(r).update(attackers=[1]), "attackers is not what scenario and seed give",
    ),
    "somebody silent": (
        lambda r: _first(r).update(left_out={"1": "late in 3 of 10 steps"}),
        "client 1 is late in 3 steps, scenario and seed give 0",
    ),
    "somebody silent for another reason": (
        lambda r: _first(r).update(left_out={"1": "on holiday"}), "left_out is not what a run says",
    ),
    "silence that cost nothing": (
        lambda r: (
            _first(r).update(left_out={"1": "not finite in 1 of 10 steps"}),
            _cost_of_a_round("uplink_bytes", 0.5)(r),
        ),
        "800 uplink_bytes, 400 rewards are 1600",
    ),
    "silence in no step": (
        lambda r: _first(r).update(left_out={"1": "not finite in 0 of 10 steps"}),
        "client 1 is not finite in 0 steps, scenario and seed give 10",
    ),
    "a byte for all images": (_cost_of_a_round("downlink_bytes", 1e-6), "downlink_bytes for 400 answers"),
    "somebody whose number has 5000 digits": (
        lambda r: _first(r).update(left_out={"9" * 5000: "late in 1 of 10 steps"}),
        "left_out is not what a run says",
    ),
    "judges that nobody knows": (_asked_friends, "it asks friend 0, who is no client, their average or"),
    "training on the way": (_trained_on_the_way, "10 client_examples, but clients only answer"),
    "reward models for nothing": (
        _fitted_for_nothing, "round 0: 0 client_examples, fitting the clients' reward models takes 4800",
    ),
    "a gold reward above one": (_figure("policy/gold", 1.1), "policy/gold is 1.1, not a share"),
    "answers that are too long": (
        _figure("policy/tokens", 13), "policy/tokens is 13, an answer has 12 at most",
    ),
    "a KL below zero": (_figure("policy/kl", -0.1), "policy/kl is -0.1, its estimator is never negative"),
}  # fmt: skip


@pytest.mark.parametrize(("change", "said"), NOT_FUSED_SO.values(), ids=NOT_FUSED_SO.keys())
def test_what_does_not_add_up_in_policy_rounds(judged, change, said):
    level, problem = judged(edited(change, FUSED), FUSED)
    assert (level, said in problem) == ("valid", True), problem


def test_an_exchange_of_the_policy_is_checked_like_any_other(judged):
    place = FUSED.parents[2] / "fedavg-dpo" / "seed-0" / "record.json"
    level, problem = judged(edited(_examples, place), place)
    assert level == "valid" and "client_examples, scenario and seed give" in problem


def test_faults_are_drawn_again(judged):
    """Who dropped out or came late follows from scenario and seed; so does who attacks."""
    place = Path("emoji-faulty@1", "fedavg", "seed-0", "record.json")
    assert judged(values(place), place)[0] == "consistent"
    faulty = values(place)
    number = next(i for i, entry in enumerate(faulty["rounds"]) if entry["left_out"])
    level, problem = judged(edited(lambda r: r["rounds"][number].update(left_out={}), place), place)
    assert (level, problem) == ("valid", f"round {number}: left_out is not what scenario and seed give")
    place = Path("emoji-byzantine@1", "fedavg", "seed-0", "record.json")
    level, problem = judged(edited(lambda r: r["rounds"][1].update(attackers=[]), place), place)
    assert (level, problem) == ("valid", "round 1: attackers is not what scenario and seed give")


@pytest.mark.parametrize("name", ["miracle", "centralized"])
def test_pooling_is_for_the_anchor(judged, name):
    """A copy of centralized's record as another plugin's, with everything that names it made to fit."""

    def renamed(record):
        record["method"].update(name=name)
        record["method"]["provider"].update(plugin="miracle", distribution="miracle", version="1.0")
        record["run_id"] = run_id(record["scenario"]["fingerprint"], name, "miracle", {}, record["seed"])

    place = Path("emoji-tt@1", "centralized", "seed-0", "record.json")
    assert judged(edited(renamed, place), Path("emoji-tt@1", "miracle", "seed-0", "record.json")) == (
        "valid", "it trains on all clients' data in one place, which is for the installed centralized only"
    )  # fmt: skip


def test_a_plan_without_end_is_not_drawn(judged, catalog):
    changes = {"federation.rounds": 10**9, "budget.examples": 1}
    changed = load_scenario(catalog.scenarios["emoji-tt"].spec.path, changes)

    def change(record):
        record["scenario"].update(changes=changes, fingerprint=changed.fingerprint)
        record.update(rounds=record["rounds"][:2], stopped="budget: 1 examples")
        record["run_id"] = run_id(changed.fingerprint, "fedavg", "baselines", {}, record["seed"])

    assert judged(edited(change)) == (
        "valid", "it is too large to check: 1000000000 rounds of 5 clients"
    )  # fmt: skip


PROX = Path("emoji-tt@1", "fedprox", "seed-0", "record.json")


def _proximal(options, version=None):
    """FedProx's record with other options, perhaps of another version of the method."""

    def change(record):
        record["method"].update(options=options)
        fingerprint = record["scenario"]["fingerprint"]
        record["run_id"] = run_id(fingerprint, "fedprox", "baselines", options, record["seed"])
        if version:
            record["method"]["provider"].update(version=version)

    return edited(change, PROX)


@pytest.mark.parametrize(
    "options", [{}, {"mu": 0.01, "gone": 1}], ids=["an option was added", "one has gone"]
)
@pytest.mark.parametrize("version", ["0.0.1", None], ids=["of an earlier version", "as installed"])
def test_options_that_a_method_had(catalog, tmp_path, options, version):
    """A record stays where it is when its method changes; one that never fitted is refused."""
    put(tmp_path, _proximal(options, version), PROX)
    (verdict,) = verify([tmp_path], catalog)
    assert verdict.level.name == ("retired" if version else "unverified")
    assert verdict.fails(Level.consistent) is not bool(version)


def test_the_successor_of_a_retired_record_finds_a_place(catalog, tmp_path):
    """The folder says nothing of versions: it is taken, and records are never moved."""
    put(tmp_path / "records", _proximal({}, "0.0.1"), PROX)
    new = put(tmp_path / "runs", values(PROX), PROX)
    (added,) = add([new], tmp_path / "records", catalog)
    assert added.new and added.target.parent.parent.name.startswith("fedprox+")
    verdicts = verify([tmp_path / "records"], catalog)
    assert sorted(v.level.name for v in verdicts) == ["consistent", "retired"]


def test_a_default_that_has_changed_makes_no_twin(catalog, tmp_path):
    """What was run with the old defaults is an option set like any other, where it lies."""
    put(tmp_path, _proximal({"mu": 0.5}, "0.0.1"), PROX)
    (verdict,) = verify([tmp_path], catalog)
    assert verdict.problem != f"it belongs at {PROX.parent}" and verdict.level >= Level.valid


def test_only_what_could_be_a_record_is_retired(catalog, tmp_path):
    wrong = put(tmp_path / "a", edited(_version(0)), Path("any", "where", "record.json"))
    (verdict,) = verify([tmp_path / "a"], catalog)
    assert verdict.fails(Level.consistent) and verdict.problem.startswith("it belongs at emoji-tt@0/fedavg")
    wrong.write_text(json.dumps(edited(lambda r: (_version(0)(r), r.update(run_id="0" * 64)))))
    (verdict,) = verify([wrong], catalog)
    assert verdict.problem == "run_id is not the hash of what it says was run"


def test_records_of_an_earlier_scenario_stay_and_count_nowhere(catalog, tmp_path):
    """Or nobody could ever raise a scenario's version: records are neither altered nor taken back."""
    path = put(tmp_path, edited(_version(0)))
    verdicts = verify([path], catalog)
    assert (verdicts[0].level, verdicts[0].problem) == (
        Level.retired, "it is of emoji-tt@0, installed is emoji-tt@1"
    )  # fmt: skip
    assert not verdicts[0].fails(Level.consistent)
    (why,) = notes(catalog, verdicts).values()
    assert why == "made on emoji-tt@0, another version than emoji-tt@1 as installed"
    with pytest.raises(FedbenchError, match="can't be added: it is of emoji-tt@0"):
        add([path], tmp_path / "records", catalog)


def test_other_runs_of_the_seed_share_their_start(catalog, tmp_path):
    """A forger who makes up the untouched start of a run is given away by the others."""
    others = [put(tmp_path, values(p), p) for p in (PLACE.parent.parent.parent / m / "seed-0" / "record.json"
                                                   for m in ("fedprox", "moon", "fedadam"))]  # fmt: skip
    forged = put(tmp_path, edited(lambda r: r["rounds"][0].update(digest="0" * 64)))
    verdicts = verify([*others, forged], catalog)
    assert [v.level.name for v in verdicts] == ["consistent"] * 3 + ["valid"]
    assert verdicts[-1].problem.startswith("the untouched start is not that of the other records")


def test_more_bytes_are_told_by_the_other_seeds(catalog, tmp_path):
    places = [PLACE.parent.parent / f"seed-{seed}" / "record.json" for seed in range(3)]
    paths = [put(tmp_path, values(place), place) for place in places[1:]]
    paths.append(put(tmp_path, edited(lambda r: _share_of(r, "uplink_bytes", 2)), places[0]))
    assert [(v.level.name, v.problem[:16]) for v in verify(paths, catalog)] == [
        ("consistent", ""), ("consistent", ""), ("valid", "bytes per update")
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("method", "scenario", "change", "said"),
    [
        (
            "fedavg", "emoji-tt@1",
            lambda m: m.update(better="lower"), "the items measured is not that of the other records",
        ),
        (
            "reward-fedavg", "prefs-emoji-tasks@1", None, "whether round 0 costs anything is not that of",
        ),
    ],
)  # fmt: skip
def test_what_is_the_same_for_all_is_told_by_the_others(catalog, tmp_path, method, scenario, change, said):
    """A direction that flatters costs and clients; bytes of round 0 that nobody sent."""

    def everywhere_else(record):
        if change is None:
            first = record["rounds"][0]["costs"]
            for name in ("uplink_bytes", "downlink_bytes"):
                record["costs"][name] -= first[name]
                first[name] = 0
            return
        for found in (record["final"], *record["controls"].values()):
            change(found[PRIMARY])
        for entry in record["rounds"]:
            for measure in (entry["metrics"][PRIMARY], *entry["clients"].values()):
                change(measure)
        clients = [client["value"] for client in record["rounds"][-1]["clients"].values()]
        record["spread"].update(worst=max(clients), p10=float(np.percentile(clients, 90)))

    places = [Path(scenario, method, f"seed-{seed}", "record.json") for seed in range(3)]
    paths = [put(tmp_path, values(place), place) for place in places[1:]]
    (alone,) = verify([put(tmp_path / "alone", edited(everywhere_else, places[0]), places[0])], catalog)
    assert (alone.level, alone.problem) == (Level.consistent, "")
    paths.append(put(tmp_path, edited(everywhere_else, places[0]), places[0]))
    *others, forged = verify(paths, catalog)
    assert {v.level for v in others} == {Level.consistent} and forged.problem.startswith(said)


def test_a_forgery_that_fits_itself_takes_a_replay(judged):
    """What arithmetic can't tell: the same item more for one client, the whole and the spread, all sealed."""

    def forge(record):
        last = record["rounds"][-1]
        for client in last["clients"].values():
            client["value"] = 1.0
            client["se"] = 0.0
        for found in (last["metrics"], record["final"]):
            found[PRIMARY].update(value=1.0, se=0.0)
        record["spread"] = {"mean": 1.0, "worst": 1.0, "p10": 1.0}

    assert judged(edited(forge)) == ("consistent", "")


# --- files and folders


def test_a_second_record_of_a_seed(catalog, tmp_path):
    first = put(tmp_path / "a", values())
    second = put(tmp_path / "b", edited(lambda r: r.update(wall_seconds=r["wall_seconds"] + 0.5)))
    one, two = verify([first, second], catalog)
    assert one.level == Level.consistent
    assert two.problem == f"a second record of this seed: {first} is the first"


def test_chosen_seeds_count_on_no_board(catalog, tmp_path):
    """Seeds 1 and 2 without 0, with all the anchors' there."""
    for method in ("start", "local", "centralized", "fedavg", "fedprox"):
        for seed in range(3):
            place = Path("emoji-tt@1", method, f"seed-{seed}", "record.json")
            if (method, seed) != ("fedprox", 0):
                put(tmp_path, values(place), place)
    verdicts = verify([tmp_path], catalog)
    told = notes(catalog, verdicts)
    mine = [v for v in verdicts if v.run.method.name == "fedprox"]
    assert len(told) == len(mine) == 2
    assert {told[v.run.id] for v in mine} == {"seed 0 is missing, and seeds after a gap may be chosen ones"}


def test_a_record_in_the_wrong_place(catalog, tmp_path):
    put(tmp_path, values(), Path("emoji-tt@1", "fed-cmp", "seed-0", "record.json"))
    (verdict,) = verify([tmp_path], catalog)
    assert verdict.problem == "it belongs at emoji-tt@1/fedavg/seed-0"


def test_links_are_not_followed(catalog, tmp_path):
    outside = put(tmp_path / "outside", values())
    inside = tmp_path / "inside" / PLACE
    inside.parent.mkdir(parents=True)
    inside.symlink_to(outside)
    (tmp_path / "inside" / "all").symlink_to(tmp_path / "outside", target_is_directory=True)
    verdicts = verify([tmp_path / "inside"], catalog)
    assert [v.problem for v in verdicts] == ["it is a link, which is not followed"] * 2
    (verdict,) = verify([inside], catalog)
    assert verdict.problem == "it is a link, which is not followed"


def test_a_zip_of_a_hundred_thousand_files_is_not_opened(catalog, tmp_path):
    archive = tmp_path / "records" / "records.zip"
    archive.parent.mkdir()
    with zipfile.ZipFile(archive, "w") as file:
        for number in range(100_000):
            file.writestr(f"{number}/record.json", b"")
    for path in (archive, archive.parent):
        (verdict,) = verify([path], catalog)
        assert verdict.problem == "it is an archive, which is not opened: hand in the record files"


def test_files_without_end(catalog, tmp_path, monkeypatch):
    monkeypatch.setattr(submission, "MOST_FILES", 20)
    for number in range(30):
        (tmp_path / f"{number}.json").touch()
    *_, last = verify([tmp_path], catalog)
    assert last.problem == "more than 20 files were handed in" and last.path == tmp_path
    deep = tmp_path / "deep" / Path(*"abcdefghijkl")
    deep.mkdir(parents=True)
    assert verify([tmp_path / "deep"], catalog)[0].problem == "its folders are nested too deeply"


@pytest.mark.parametrize(
    "name", ["evil.py", "weights.pkl", "record.json.bak", ".gitattributes", "Record.json"]
)
def test_nothing_else_belongs_here(catalog, tmp_path, name):
    path = put(tmp_path, values())
    (path.parent / "rounds.jsonl").touch()
    (path.parent / name).touch()
    sound, other = sorted(verify([tmp_path], catalog), key=lambda v: -v.level)
    assert sound.level == Level.consistent
    assert other.problem == "it is no record.json, and nothing else belongs here"


def test_a_pipe_is_no_file(catalog, tmp_path):
    os.mkfifo(tmp_path / "record.json")
    (verdict,) = verify([tmp_path], catalog)
    assert verdict.problem == "it is not a plain file"


def test_a_check_that_breaks_is_not_passed(catalog, tmp_path, monkeypatch):
    from fedbench.verification import ladder as module

    def broken(record, scenario, *, is_ceiling):
        raise ZeroDivisionError("<b>")

    monkeypatch.setattr(module, "inconsistencies", broken)
    (verdict,) = verify([put(tmp_path, values())], catalog)
    assert (verdict.level, verdict.problem) == (Level.valid, "it can't be checked: ZeroDivisionError: ?b?")


# --- adding


def test_records_are_added_where_they_belong(catalog, tmp_path):
    run = put(tmp_path / "runs" / "somewhere", values(), Path("record.json"))
    (added,) = add([tmp_path / "runs"], tmp_path / "records", catalog)
    assert added.new and added.target == tmp_path / "records" / PLACE
    assert added.target.read_bytes() == run.read_bytes()
    (again,) = add([run], tmp_path / "records", catalog)
    assert not again.new and again.target == added.target


def test_nobody_is_added_whom_those_that_are_there_would_not_survive(catalog, tmp_path):
    """Three new records that agree with each other outvote the two that lie there."""
    for seed in range(2):
        put(tmp_path / "records", values(p := PLACE.parent.parent / f"seed-{seed}" / "record.json"), p)
    for seed in (2, 3, 4):
        place = PLACE.parent.parent / f"seed-{seed}" / "record.json"
        other = edited(lambda r: r["data"].update(partition_fingerprint="0" * 64), place)
        put(tmp_path / "runs", other, place)
    with pytest.raises(FedbenchError, match=r"these can't be added beside .*what was federated"):
        add([tmp_path / "runs"], tmp_path / "records", catalog)
    assert len(list((tmp_path / "records").rglob("record.json"))) == 2


def test_a_broken_record_that_lies_there_is_named(catalog, tmp_path):
    broken = put(tmp_path / "records", values())
    broken.write_bytes(broken.read_bytes()[:1000])
    put(tmp_path / "runs", values(place := PLACE.parent.parent / "seed-1" / "record.json"), place)
    with pytest.raises(UsageError, match=rf"not a fedbench record in {broken}"):
        add([tmp_path / "runs"], tmp_path / "records", catalog)


def test_a_bad_record_keeps_all_from_being_added(catalog, tmp_path):
    put(tmp_path / "runs", values())
    other = Path("emoji-tt@1", "fedavg", "seed-1", "record.json")
    put(tmp_path / "runs", edited(lambda r: everywhere(r, 0.9), other), other)
    with pytest.raises(FedbenchError, match=r"seed-1/record.json can't be added: .* not a count out of 476"):
        add([tmp_path / "runs"], tmp_path / "records", catalog)
    assert not (tmp_path / "records").exists()


def test_another_record_of_a_seed_is_not_added(catalog, tmp_path):
    put(tmp_path / "records", values())
    other = put(tmp_path / "runs", edited(lambda r: r.update(wall_seconds=r["wall_seconds"] + 0.5)))
    with pytest.raises(FedbenchError, match="a second record of this seed"):
        add([other], tmp_path / "records", catalog)
    assert json.loads((tmp_path / "records" / PLACE).read_text()) == values()


def test_two_submissions_race_and_one_wins(catalog, tmp_path):
    """Both are checked before either is written: the second to write finds the place taken."""
    runs = [
        put(tmp_path / str(i), edited(lambda r, i=i: r.update(wall_seconds=r["wall_seconds"] + i / 10)))
        for i in range(8)
    ]

    def submit(run):
        try:
            return add([run], tmp_path / "records", catalog)[0].source
        except FedbenchError as error:
            return str(error)

    with ThreadPoolExecutor(8) as pool:
        outcomes = list(pool.map(submit, runs))
    (winner,) = [outcome for outcome in outcomes if isinstance(outcome, Path)]
    refusals = [outcome for outcome in outcomes if outcome != winner]
    said = ("a record is never overwritten", "a second record of this seed")
    assert all(any(words in refusal for words in said) for refusal in refusals)
    assert (tmp_path / "records" / PLACE).read_bytes() == winner.read_bytes()
    left = [path for path in (tmp_path / "records").rglob("*") if path.is_file()]
    assert left == [tmp_path / "records" / PLACE]


# --- running again


def test_a_sample_is_run_again(catalog, tmp_path):
    for seed in range(3):
        place = PLACE.parent.parent / f"seed-{seed}" / "record.json"
        put(tmp_path, values(place), place)
    verdicts = verify([tmp_path], catalog)
    again = []

    def replay(path):
        again.append(path)
        return "round 1: a run gives other parameters" if "seed-2" in str(path) else ""

    replayed = run_again(verdicts, Level.replayed, replay)
    assert [(v.level.name, v.fails(Level.replayed)) for v in replayed] == [
        ("replayed", False), ("replayed", False), ("consistent", True)
    ]  # fmt: skip
    again.clear()
    sampled = run_again(verdicts, Level.replayed, replay, sample=1, seed=4)
    assert len(again) == 1 and sum(v.level == Level.replayed for v in sampled) <= 1
    assert not any(v.fails(Level.replayed) for v in sampled if v.path not in again)
    first = list(again)
    run_again(verdicts, Level.replayed, replay, sample=1, seed=4)
    assert again == first * 2
    again.clear()
    run_again(verdicts, Level.replayed, replay, sample=5, can_run=lambda run: run.seed == 1)
    assert again and all("seed-1" in str(path) for path in again), "what can't be run here is not drawn"


def test_no_such_file(catalog, tmp_path):
    with pytest.raises(UsageError, match="no such record or folder"):
        verify([tmp_path / "nothing"], catalog)
    assert sealed(values()) == values()
