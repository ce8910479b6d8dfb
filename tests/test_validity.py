"""What is no valid record: damage, edits, hostile texts, things not installed so; and what is retired."""

import json
from pathlib import Path

import pytest
from records_of_ours import PRIMARY, PROX, assign, edited, filed, of_version, proximal, put, values

from fedbench.errors import FedbenchError
from fedbench.leaderboard.adding import add
from fedbench.leaderboard.notes import notes
from fedbench.verification.ladder import Level, verify


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
    "another version of the scenario": (of_version(7), True, "it is of emoji-tt@7, installed is emoji-tt@1"),
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
    "a text of 1 MB": (
        lambda r: r.update(error="x" * 1_000_000), True, "holds more than 10000 characters",
    ),
    "a text that turns the line around": (
        lambda r: r.update(error="a\u202eb"), True, "holds a control character",
    ),
    "a text that clears the terminal": (
        lambda r: r.update(error="\x1b[2J"), True, "holds a control character",
    ),
}  # fmt: skip


@pytest.mark.parametrize(("change", "seal", "said"), NOT_VALID.values(), ids=NOT_VALID.keys())
def test_what_is_not_valid(verdict_of, change, seal, said):
    level, problem = verdict_of(edited(change, seal=seal))
    assert level == "unverified" and said in problem
    assert len(problem) < 300 and problem.isprintable()


RAW = {
    "truncated": (lambda text: text[: len(text) // 2], "it is not JSON"),
    "NaN": (lambda text: text.replace('"loss": 1.', '"loss": NaN, "x": 1.', 1), "NaN is not a number"),
    "1e999": (lambda text: text.replace('"loss": 1.', '"loss": 1e999, "x": 1.', 1), "1e999 is too large"),
    "deeply nested": (
        lambda text: text.replace('"changes": {}', '"changes": ' + "[" * 10**5 + "]" * 10**5, 1),
        "it is nested too deeply",
    ),
    "a bit nested": (
        lambda text: text.replace('"changes": {}', '"changes": ' + "[" * 30 + "]" * 30, 1),
        "it is nested too deeply",
    ),
    "a key twice": (lambda text: '{"seed": 5,' + text[1:], "the key 'seed' is there twice"),
    "10 MB": (lambda text: text[:-1] + ', "x": "' + "x" * 10_000_000 + '"}', "it is larger than 2 MB"),
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
    assert len(found) > 200
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

        paths.append(put(tmp_path / str(number), filed(inject, seal=path != ("record_id",))))
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
def test_texts_that_do_not_belong_in_public(verdict_of, text, said):
    level, problem = verdict_of(edited(lambda r: r["environment"].update(platform=text)))
    assert level == "unverified" and f"holds {said}" in problem


@pytest.mark.parametrize(
    "text", ["a/b/c", "https://example.org/x", "1 < 2, 3 > 2", "nats/token", "café…", "v1..v2"]
)
def test_texts_that_do(verdict_of, text):
    assert verdict_of(edited(lambda r: r["environment"].update(platform=text))) == ("consistent", "")


@pytest.mark.parametrize(
    "options", [{}, {"mu": 0.01, "gone": 1}], ids=["an option was added", "one has gone"]
)
@pytest.mark.parametrize("version", ["0.0.1", None], ids=["of an earlier version", "as installed"])
def test_options_that_a_method_had(catalog, tmp_path, options, version):
    """A record stays where it is when its method changes; one that never fitted is refused."""
    put(tmp_path, proximal(options, version), PROX)
    (verdict,) = verify([tmp_path], catalog)
    assert verdict.level.name == ("retired" if version else "unverified")
    assert verdict.fails(Level.consistent) is not bool(version)


def test_a_default_that_has_changed_makes_no_twin(catalog, tmp_path):
    """What was run with the old defaults is an option set like any other, where it lies."""
    put(tmp_path, proximal({"mu": 0.5}, "0.0.1"), PROX)
    (verdict,) = verify([tmp_path], catalog)
    assert verdict.problem != f"it belongs at {PROX.parent}" and verdict.level >= Level.valid


def test_only_what_could_be_a_record_is_retired(catalog, tmp_path):
    wrong = put(tmp_path / "a", edited(of_version(0)), Path("any", "where", "record.json"))
    (verdict,) = verify([tmp_path / "a"], catalog)
    assert verdict.fails(Level.consistent) and verdict.problem.startswith("it belongs at emoji-tt@0/fedavg")
    wrong.write_text(json.dumps(edited(lambda r: (of_version(0)(r), r.update(run_id="0" * 64)))))
    (verdict,) = verify([wrong], catalog)
    assert verdict.problem == "run_id is not the hash of what it says was run"


def test_records_of_an_earlier_scenario_stay_and_count_nowhere(catalog, tmp_path):
    """Or nobody could ever raise a scenario's version: records are neither altered nor taken back."""
    path = put(tmp_path, edited(of_version(0)))
    verdicts = verify([path], catalog)
    assert (verdicts[0].level, verdicts[0].problem) == (
        Level.retired, "it is of emoji-tt@0, installed is emoji-tt@1"
    )  # fmt: skip
    assert not verdicts[0].fails(Level.consistent)
    (why,) = notes(catalog, verdicts).values()
    assert why == "made on emoji-tt@0, another version than emoji-tt@1 as installed"
    with pytest.raises(FedbenchError, match="can't be added: it is of emoji-tt@0"):
        add([path], tmp_path / "records", catalog)


def test_a_record_in_the_wrong_place(catalog, tmp_path):
    put(tmp_path, values(), Path("emoji-tt@1", "fed-cmp", "seed-0", "record.json"))
    (verdict,) = verify([tmp_path], catalog)
    assert verdict.problem == "it belongs at emoji-tt@1/fedavg/seed-0"
