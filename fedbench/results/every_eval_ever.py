"""Records in the form of Every Eval Ever (evalevalai.com), version 0.3.0 of its schema: a file each.

A run is an evaluation, its method the model; what the schema has no place for goes into its texts.
"""

from __future__ import annotations

import json
import shlex
from datetime import datetime
from pathlib import Path
from typing import Any
from uuid import UUID

from fedbench.api.metrics import Measure
from fedbench.environment import version_of
from fedbench.errors import UsageError
from fedbench.files import write_atomic
from fedbench.fingerprint import canonical_json
from fedbench.plugins import NAME
from fedbench.results.records import Record

VERSION = "0.3.0"
COLLECTION = "fedbench"

BOUNDS: dict[str, tuple[float | str, float | str]] = {
    "share": (0.0, 1.0),
    "AUC": (0.0, 1.0),
    "nats/token": (0.0, "Infinity"),
    "nats": (0.0, "Infinity"),
}
"""The least and the greatest possible value of each unit."""

UNITS = {"share": "proportion"}
"""The schema's names of units that it calls otherwise."""


def write_log(record: Record, folder: Path) -> Path:
    """Write ``folder/data/fedbench/DEVELOPER/METHOD/UUID.json``, the layout of its data store; return the
    path."""
    if record.status != "completed":
        raise UsageError("the record can't be exported", why=f"its run is {record.status}, and no evaluation")
    developer, method = record.method.provider.distribution, record.method.name
    if not (NAME.fullmatch(developer) and NAME.fullmatch(method)):
        raise UsageError("the record can't be exported", why="its method or provider is no name")
    name = f"{UUID(hex=record.sealed().record_id[:32], version=4)}.json"
    path = folder / "data" / COLLECTION / developer / method / name
    write_atomic(path, json.dumps(log_of(record), indent=1) + "\n")
    return path


def log_of(record: Record) -> dict[str, Any]:
    """Convert a record's final measures to an evaluation log."""
    method, scenario, environment = record.method, record.scenario, record.environment
    provider = method.provider
    model = f"{provider.distribution}/{method.name}"
    try:
        finished = datetime.fromisoformat(record.finished)
    except ValueError as error:
        raise UsageError("the record can't be exported", why=f"finished: {error}") from error
    return {
        "schema_version": VERSION,
        "evaluation_id": f"{COLLECTION}/{model}/{record.record_id}",
        "evaluation_timestamp": record.finished,
        "retrieved_timestamp": str(int(finished.timestamp())),
        "source_metadata": {
            "source_name": COLLECTION,
            "source_type": "evaluation_run",
            "source_organization_name": provider.distribution,
            "evaluator_relationship": "other",
            "additional_details": {"record_id": record.record_id, "run_id": record.run_id},
        },
        "eval_library": {
            "name": COLLECTION,
            "version": version_of(environment, "fedbench-suite") or "unknown",
        },
        "model_info": {
            "name": method.name,
            "id": model,
            "developer": provider.distribution,
            "additional_details": {
                "deployment_type": "self_deployed",
                "model_availability": "unknown",
                "what": "a method of federated learning, not a model",
                "version": provider.version,
                "options": canonical_json(method.options),
                "backbone": record.data.backbone,
                "seed": str(record.seed),
                "costs": canonical_json(vars(record.costs)),
            },
        },
        "evaluation_results": [
            _result(record, name, measure, f"{scenario.name}@{scenario.version}")
            for name, measure in record.final.items()
        ],
    }


def _result(record: Record, name: str, measure: Measure, scenario: str) -> dict[str, Any]:
    suite, _, metric = name.rpartition("/")
    least, greatest = BOUNDS.get(measure.unit, ("-Infinity", "Infinity"))
    uncertainty: dict[str, Any] = {"num_samples": measure.n}
    if measure.se is not None:
        uncertainty["standard_error"] = {"value": measure.se, "method": "analytic, clustered"}
    return {
        "evaluation_result_id": f"{record.record_id}/{name}",
        "evaluation_name": ".".join((COLLECTION, scenario, *suite.split("/"))),
        "source_data": {
            "dataset_name": record.data.name,
            "source_type": "other",
            "additional_details": {
                "fingerprint": record.data.fingerprint,
                "partition": record.data.partition,
                "partition_fingerprint": record.data.partition_fingerprint,
                "scenario_fingerprint": record.scenario.fingerprint,
                "changes": canonical_json(record.scenario.changes),
            },
        },
        "evaluation_timestamp": record.finished,
        "metric_config": {
            "metric_id": metric,
            "metric_name": metric,
            "metric_unit": UNITS.get(measure.unit, measure.unit),
            "lower_is_better": measure.better == "lower",
            "score_type": "continuous",
            "min_score": least,
            "max_score": greatest,
            "additional_details": {"better": measure.better},
        },
        "score_details": {"score": measure.value, "uncertainty": uncertainty},
        "generation_config": {"generation_args": {"execution_command": shlex.join(record.command)}},
    }
