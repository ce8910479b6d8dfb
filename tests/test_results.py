"""Records: the committed schema, refusal of what doesn't belong, comparison over seeds."""

import json
from pathlib import Path

import pytest
from conftest import example_record

import fedbench.results
from fedbench.errors import UsageError
from fedbench.fingerprint import canonical_json
from fedbench.results.compare import summarise
from fedbench.results.record import Record
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
    cancelled = example_record().model_copy(update={"status": "cancelled"})
    names = [write_record(tmp_path, cancelled).name for _ in range(2)]
    assert names == ["cancelled-0001.json", "cancelled-0002.json"]


def test_the_id_is_of_the_content():
    record = example_record().sealed()
    assert record.sealed().record_id == record.record_id
    assert record.model_copy(update={"seed": 99}).sealed().record_id != record.record_id


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        ({"surprise": 1}, "surprise"),
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


def test_canonical_json_knows_no_nan():
    assert canonical_json({"b": 1, "a": [1.5, "ü"]}) == '{"a":[1.5,"ü"],"b":1}'
    with pytest.raises(ValueError):
        canonical_json({"a": float("nan")})


def test_folders_stand_for_their_completed_records(tmp_path):
    write_record(tmp_path / "a", example_record())
    write_record(tmp_path / "b", example_record().model_copy(update={"status": "failed"}))
    assert find_records([tmp_path]) == [tmp_path / "a" / "record.json"]
    with pytest.raises(UsageError, match="no completed record"):
        find_records([tmp_path / "b"])


def test_a_summary_is_over_seeds_and_never_mixes_scenarios():
    record = example_record()
    other = record.scenario.model_copy(update={"fingerprint": "another"})
    rows = summarise(
        [record, record.model_copy(update={"seed": 1}), record.model_copy(update={"scenario": other})]
    )
    assert [row.seeds for row in rows] == [(0, 1), (0,)]
    assert rows[0].se == 0.0 and rows[1].se is None
    with pytest.raises(UsageError, match="has no metric"):
        summarise([record], "no/such/metric")
