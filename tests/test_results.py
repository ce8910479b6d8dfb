"""Records: the committed schema, refusal of what doesn't belong, comparison over seeds."""

import json
import os
from pathlib import Path

import pytest
from conftest import example_record

import fedbench.results
from fedbench.errors import UsageError
from fedbench.fingerprint import canonical_json
from fedbench.results.comparison import summarise
from fedbench.results.migrations import MIGRATIONS, UnknownVersion, migrate
from fedbench.results.parsing import content_id
from fedbench.results.records import Record
from fedbench.results.store import find_records, read_record, write_record

SCHEMA = Path(fedbench.results.__file__).parent / "record.schema.json"


def test_the_committed_schema_is_the_models():
    """If this fails: ``fedbench validate --schema > fedbench/results/record.schema.json``."""
    assert json.loads(SCHEMA.read_text()) == Record.model_json_schema()


def test_a_record_survives_its_file(tmp_path):
    record = example_record().sealed()
    path = write_record(tmp_path, record)
    assert path.name == "record.json" and read_record(path) == record
    with pytest.raises(UsageError, match="never overwritten"):
        write_record(tmp_path, record)
    assert read_record(path) == record


def test_attempts_that_did_not_complete_are_numbered(tmp_path):
    cancelled = example_record(status="cancelled")
    names = [write_record(tmp_path, cancelled).name for _ in range(2)]
    assert names == ["cancelled-0001.json", "cancelled-0002.json"]


def test_the_id_is_of_the_content():
    record = example_record().sealed()
    assert record.sealed().record_id == record.record_id
    assert record.model_copy(update={"seed": 99}).sealed().record_id != record.record_id


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        ({"seed": "many"}, "seed"),
        ({"wall_seconds": "NaN"}, "wall_seconds"),
        ({"status": "done"}, "status"),
        ({"schema_version": 99}, "schema_version"),
    ],
)
def test_what_is_no_record_is_refused_by_field(tmp_path, change, problem):
    path = tmp_path / "record.json"
    path.write_text(json.dumps(example_record().model_dump(mode="json") | change))
    with pytest.raises(UsageError, match=problem):
        read_record(path)


def test_unknown_fields_are_kept_on_read_and_refused_on_write(tmp_path):
    """Whoever wrote the file knew more than this version does: top level, within, and in a measure."""
    values = example_record().model_dump(mode="json")
    values["surprise"] = {"deep": [1]}
    values["method"]["mood"] = "good"
    values["final"]["unseen/category/accuracy"]["p"] = 0.5
    path = tmp_path / "record.json"
    path.write_text(json.dumps(values | {"record_id": content_id(values)}))
    record = read_record(path)
    kept = record.model_dump(mode="json")
    assert kept["surprise"] == {"deep": [1]} and kept["method"]["mood"] == "good"
    assert vars(record.final["unseen/category/accuracy"])["p"] == 0.5
    with pytest.raises(UsageError, match=r"can't be written: method\.mood"):
        write_record(tmp_path / "new", record)
    assert not (tmp_path / "new").exists()


def test_only_sealed_records_are_written(tmp_path):
    edited = example_record().model_copy(update={"seed": 7})
    with pytest.raises(UsageError, match="changed after it was sealed"):
        write_record(tmp_path, edited)


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        (b'{"seed": 0, "seed": 1}', "the key 'seed' is there twice"),
        (b'{"diagnostics": ' + b"[" * 100_000 + b"]" * 100_000 + b"}", "nested too deeply"),
        (b'{"a": ' + b'{"a": ' * 30 + b"1" + b"}" * 31, "nested too deeply"),
        (b'{"wall_seconds": NaN}', "NaN is not a number in a record"),
        (b'{"wall_seconds": -Infinity}', "-Infinity is not a number in a record"),
        (b'{"wall_seconds": 1e999}', "1e999 is too large a number"),
        (b'{"seed": ' + b"9" * 5000 + b"}", "it is not JSON: Exceeds the limit"),
        (b'{"seed": 0, "started": "2026', "it is not JSON: Unterminated string"),
        (b'{"seed": 0,', "cut off?"),
        (b'{"error": "\xff"}', "it is not UTF-8"),
        (b'{"error": "\\ud800"}', "half a character"),
        (b"[]", "it is not a JSON object"),
    ],
    ids=lambda value: str(value)[:30] if isinstance(value, str) else "",
)
def test_what_is_no_json_of_ours_is_one_line(tmp_path, text, problem):
    path = tmp_path / "record.json"
    path.write_bytes(text)
    with pytest.raises(UsageError) as error:
        read_record(path)
    assert problem in str(error.value) and len(str(error.value)) < 500


def test_ones_own_record_may_be_long(tmp_path):
    """Thousands of rounds or clients; handed in, it would be too large (``test_verify``)."""
    record = example_record(environment={"note": "x" * 10_000_000})
    assert read_record(write_record(tmp_path, record)) == record


def test_a_record_is_a_plain_file(tmp_path):
    """Nobody waits for what a pipe will never say."""
    os.mkfifo(tmp_path / "record.json")
    with pytest.raises(UsageError, match="not a plain file"):
        read_record(tmp_path / "record.json")


RECORDS = Path(__file__).parent / "records"


def test_there_is_a_record_of_every_schema_version():
    versions = [json.loads(path.read_text())["schema_version"] for path in RECORDS.glob("version-*.json")]
    assert sorted(versions) == list(range(1, 2 + len(MIGRATIONS)))
    assert Record.model_fields["schema_version"].default == max(versions)


@pytest.mark.parametrize("path", sorted(RECORDS.glob("version-*.json")), ids=lambda path: path.stem)
def test_records_of_every_version_are_read(path):
    record = read_record(path)
    assert record.schema_version == 1 + len(MIGRATIONS)
    assert (record.method.name, record.seed, record.rounds[-1].metrics[record.primary].value) == (
        "fedavg", 3, 0.5
    )  # fmt: skip
    values = json.loads(path.read_text())
    assert values["record_id"] == content_id(values), "a record's hash is of what was written, for good"


def test_migrations_go_step_by_step():
    steps = [
        lambda values: {**values, "schema_version": 2, "said": "second"},
        lambda values: {**values, "schema_version": 3, "said": values["said"] + ", third"},
    ]
    old = {"schema_version": 1}
    assert migrate(old, steps) == {"schema_version": 3, "said": "second, third"}
    assert migrate({"schema_version": 2, "said": "x"}, steps)["said"] == "x, third"
    assert old == {"schema_version": 1}
    for version in (0, 4, "1", True, None, 1.0):
        with pytest.raises(UnknownVersion, match="is unknown, this fedbench reads versions up to 3"):
            migrate({"schema_version": version}, steps)


def test_canonical_json_knows_no_nan():
    assert canonical_json({"b": 1, "a": [1.5, "ü"]}) == '{"a":[1.5,"ü"],"b":1}'
    with pytest.raises(ValueError):
        canonical_json({"a": float("nan")})


def test_folders_stand_for_their_completed_records(tmp_path):
    write_record(tmp_path / "a", example_record())
    write_record(tmp_path / "b", example_record(status="failed"))
    assert find_records([tmp_path]) == [tmp_path / "a" / "record.json"]
    with pytest.raises(UsageError, match="no completed record"):
        find_records([tmp_path / "b"])


def test_a_summary_is_over_seeds_and_never_mixes_scenarios():
    record = example_record()
    other = record.scenario.model_copy(update={"fingerprint": "another"})
    rows = summarise(
        [record, *(record.model_copy(update=u).sealed() for u in ({"seed": 1}, {"scenario": other}))]
    )
    assert {row.seeds: row.se for row in rows} == {(0, 1): 0.0, (0,): None}
    with pytest.raises(UsageError, match="has no metric"):
        summarise([record], "no/such/metric")
