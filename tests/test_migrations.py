"""Records of schema version 1 in version 2: nothing is lost, which their old hashes prove."""

import json
from pathlib import Path

import pytest
from records_of_ours import RECORDS, values

from fedbench.results.columns import by_round
from fedbench.results.migrations import Malformed, migrate
from fedbench.results.parsing import content_id
from fedbench.results.records import Record
from fedbench.results.store import read_record, record_of

FIXTURE = Path(__file__).parent / "records" / "version-1.json"
RENAMED = {"queried": "asked", "informative": "told"}
ADDED = ("migrated_from", "identity", "validation", "items")


def as_version_1(record):
    """The inverse of the migration."""
    assert all(record[name] is None for name in ADDED[1:])
    old = {name: value for name, value in record.items() if name not in ADDED}
    rounds = by_round(record["rounds"])
    for entry in rounds:
        entry["diagnostics"] = {RENAMED.get(name, name): v for name, v in entry["diagnostics"].items()}
    return old | {"schema_version": 1, "record_id": record["migrated_from"]["record_id"], "rounds": rounds}


def leaves(value, path=()):
    """Every number and text of a JSON value with its path."""
    parts = (
        value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else None
    )
    if parts is None:
        yield path, type(value), value
    else:
        for key, inner in parts:
            yield from leaves(inner, (*path, key))


@pytest.mark.slow
def test_every_committed_record_still_holds_all_that_it_was_written_with():
    """Made version 1 again, a record has the hash that it had: not a digit of it can have changed."""
    paths = sorted(RECORDS.rglob("record.json"))
    checked = 0
    for path in paths:
        record = migrate(json.loads(path.read_text()))
        assert content_id(record) == record["record_id"], path
        if record["migrated_from"] is not None:
            assert content_id(as_version_1(record)) == record["migrated_from"]["record_id"], path
            checked += 1
    assert checked >= 1536


@pytest.mark.parametrize("place", ["emoji-tt@1/fed-cmp", "prefs-emoji-tasks@1/mor", "emoji-byzantine@1/krum"])
def test_a_migrated_record_is_the_same_in_memory_and_in_its_file(place):
    record = values(Path(place, "seed-0", "record.json"))
    read = record_of(record, Path(place), strict=True)
    assert read.model_dump(mode="json") == record
    assert read.record_id == read.sealed().record_id


def test_every_number_of_a_version_1_record_is_in_the_version_2_one():
    old = json.loads(FIXTURE.read_text())
    new = migrate(old)
    assert sorted(leaves(as_version_1(new)), key=repr) == sorted(leaves(old), key=repr)
    record = read_record(FIXTURE)
    assert record.migrated_from.record_id == old["record_id"] == content_id(old)
    assert record.record_id == new["record_id"] == content_id(new) != old["record_id"]
    for entry, was in zip(record.rounds, old["rounds"], strict=True):
        assert entry.model_dump(mode="json") == was


def test_a_migrated_record_says_what_it_lacks():
    record = read_record(FIXTURE)
    assert record.not_recorded == ("identity", "validation", "items") and record.numerics == 1


def test_old_names_of_diagnostics_become_new_ones():
    record = values(Path("prefs-emoji-tasks@1", "mor", "seed-0", "record.json"))
    first, second, *_ = by_round(record["rounds"])
    assert first["diagnostics"]["informative"] == 0.0 and set(second["diagnostics"]["queried"]) == {
        "client 0", "client 1", "client 2"
    }  # fmt: skip


def test_a_record_that_was_changed_still_shows_it():
    old = json.loads(FIXTURE.read_text()) | {"seed": 4}
    record = Record.model_validate(migrate(old))
    assert record.record_id == old["record_id"] != record.sealed().record_id


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda r: r.pop("rounds"), "'rounds'"),
        (lambda r: r["rounds"][1]["metrics"]["unseen/category/accuracy"].update(unit="points"), "its unit"),
        (
            lambda r: r["rounds"][1]["metrics"]["unseen/category/accuracy"].update(luck=1),
            "value, se, n, unit",
        ),
        (lambda r: r["rounds"][1]["costs"].update(luck=1), "unknown costs luck"),
        (lambda r: r.update(rounds="many"), "not a mapping"),
    ],
)
def test_what_is_no_record_of_version_1_is_refused(change, said):
    old = json.loads(FIXTURE.read_text())
    change(old)
    with pytest.raises(Malformed, match=f"it is no record of version 1: .*{said}"):
        migrate(old)
