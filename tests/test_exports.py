"""``fedbench export``: CSV and Parquet hold the same, Every Eval Ever has what its schema asks for."""

import csv
import json
import re
from pathlib import Path

import pyarrow.parquet
import pytest
from conftest import example_record
from records_of_ours import PLACE, RECORDS

from fedbench.api.metrics import Costs, Measure
from fedbench.errors import UsageError
from fedbench.results.every_eval_ever import log_of, write_log
from fedbench.results.store import read_record, write_record

RUN = RECORDS / PLACE


def test_the_table_has_every_measure_and_cost(fedbench, tmp_path):
    code, out, err = fedbench("export", RUN, "--to", tmp_path / "out" / "all.parquet")
    assert (code, err, out) == (0, "", f"{tmp_path / 'out' / 'all.parquet'}\n")
    rows = pyarrow.parquet.read_table(tmp_path / "out" / "all.parquet").to_pylist()
    record = read_record(RUN)

    def only(**wanted):
        return [row for row in rows if all(row[key] == value for key, value in wanted.items())]

    (last,) = only(stage="round", round=10, measure=record.primary, client=None)
    assert (last["value"], last["se"], last["n"]) == tuple(
        getattr(record.rounds[10].metrics[record.primary], key) for key in ("value", "se", "n")
    )
    assert len(only(stage="round", round=3, measure=record.primary)) == 1 + len(record.rounds[3].clients)
    assert len(only(stage="end")) == len(record.final) + 6 and only(stage="shuffled")
    (sent,) = only(stage="end", measure="cost/uplink_bytes")
    assert (sent["value"], sent["unit"]) == (record.costs.uplink_bytes, "bytes")
    assert sum(row["value"] for row in only(stage="round", measure="cost/uplink_bytes")) == sent["value"]
    assert {(row["method"], row["seed"], row["record_id"]) for row in rows} == {
        ("fedavg", 0, record.record_id)
    }


def test_a_run_that_did_not_end_says_so(fedbench, tmp_path):
    write_record(tmp_path / "run", example_record(status="cancelled"))
    (path,) = (tmp_path / "run").glob("cancelled*.json")
    assert fedbench("export", path, path, "--to", tmp_path / "x.parquet")[0] == 0
    rows = pyarrow.parquet.read_table(tmp_path / "x.parquet").to_pylist()
    assert {row["status"] for row in rows} == {"cancelled"}
    ends = [row for row in rows if row["stage"] == "end" and row["measure"] == "cost/uplink_bytes"]
    assert len(ends) == 1, "what is named twice is exported once"
    code, _, err = fedbench("export", path, "--to", tmp_path / "eee", "--format", "every-eval-ever")
    assert code == 2 and "its run is cancelled" in err


def test_packages_may_be_anything():
    record = example_record(environment={"packages": "none"})
    assert log_of(record)["eval_library"]["version"] == "unknown"


def test_csv_and_parquet_hold_the_same(fedbench, tmp_path):
    folder = RUN.parent.parent
    for ending in ("csv", "parquet"):
        assert fedbench("export", folder, "--to", tmp_path / f"x.{ending}")[0] == 0
    table = pyarrow.parquet.read_table(tmp_path / "x.parquet").to_pylist()
    with (tmp_path / "x.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == len(table) > 500
    for row, other in zip(rows, table, strict=True):
        assert list(row) == list(other)
        assert float(row["value"]) == other["value"] and row["measure"] == other["measure"]
        assert (row["round"] or None) == (None if other["round"] is None else str(other["round"]))


def test_a_spreadsheet_sees_no_formula(fedbench, tmp_path):
    measured = {"unseen/category/accuracy": Measure(-0.5, None, 1, "=cmd|' /C calc'!A0")}
    write_record(tmp_path / "run", example_record(final=measured, costs=Costs()))
    fedbench("export", tmp_path / "run", "--to", tmp_path / "x.csv")
    with (tmp_path / "x.csv").open(newline="") as file:
        (row,) = [r for r in csv.DictReader(file) if r["stage"] == "end" and r["value"] == "-0.5"]
    assert row["unit"].startswith("'=cmd")


def test_every_eval_ever(fedbench, tmp_path):
    """The shape that version 0.3.0 of the schema requires: its required fields, texts where it has texts."""
    code, out, _ = fedbench("export", RUN, "--to", tmp_path, "--format", "every-eval-ever")
    path = Path(out.strip())
    record, log = read_record(RUN), json.loads(path.read_text())
    uuid4 = r"[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}"
    where = path.relative_to(tmp_path).as_posix()
    assert code == 0 and re.fullmatch(rf"data/fedbench/fedbench-suite/fedavg/{uuid4}\.json", where)
    assert list(log) == [
        "schema_version", "evaluation_id", "evaluation_timestamp", "retrieved_timestamp", "source_metadata",
        "eval_library", "model_info", "evaluation_results",
    ]  # fmt: skip
    assert log["schema_version"] == "0.3.0" and log["retrieved_timestamp"].isdigit()
    assert {"source_type", "source_organization_name", "evaluator_relationship"} <= set(
        log["source_metadata"]
    )
    assert {"deployment_type", "model_availability"} <= set(log["model_info"]["additional_details"])
    for found in (log["source_metadata"], log["model_info"]):
        assert all(isinstance(value, str) for value in found["additional_details"].values())
    assert len(log["evaluation_results"]) == len(record.final)
    for result, (name, measure) in zip(log["evaluation_results"], record.final.items(), strict=True):
        config, score = result["metric_config"], result["score_details"]["score"]
        assert result["evaluation_result_id"] == f"{record.record_id}/{name}" and score == measure.value
        assert config["min_score"] <= score and (
            config["max_score"] == "Infinity" or score <= config["max_score"]
        )
        assert (
            config["lower_is_better"] is (measure.better == "lower") and config["score_type"] == "continuous"
        )
        assert result["score_details"]["uncertainty"]["standard_error"]["value"] == measure.se
        assert result["source_data"]["source_type"] == "other"
    assert json.loads(path.read_text()) == log_of(record), "exporting twice gives the same"


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda r: r["method"].update(name="../../etc"), "its method or provider is no name"),
        (lambda r: r["method"]["provider"].update(distribution="/etc"), "its method or provider is no name"),
        (lambda r: r.update(finished="tomorrow"), "finished: Invalid isoformat string"),
    ],
)
def test_no_record_chooses_its_place(tmp_path, change, said):
    values = json.loads(RUN.read_text())
    change(values)
    path = tmp_path / "record.json"
    path.write_text(json.dumps(values))
    with pytest.raises(UsageError, match=said):
        write_log(read_record(path), tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_what_can_not_be_exported(fedbench, tmp_path):
    code, _, err = fedbench("export", RUN, "--to", tmp_path / "x.xlsx")
    assert code == 2 and "can't tell the format" in err and not (tmp_path / "x.xlsx").exists()
    (tmp_path / "bad").mkdir()
    (tmp_path / "bad" / "record.json").write_text("{")
    code, _, err = fedbench("export", RUN, tmp_path / "bad", "--to", tmp_path / "x.csv")
    assert code == 2 and "not a fedbench record" in err and not (tmp_path / "x.csv").exists()
    (tmp_path / "file").touch()
    code, _, err = fedbench("export", RUN, "--to", tmp_path / "file" / "x.csv")
    assert code == 2 and "can't write the export" in err
