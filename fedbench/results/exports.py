"""Records as one long table, a row for each measure and cost: CSV, Parquet. Imports pyarrow: do it late."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet

from fedbench.api.metrics import Costs, Measure
from fedbench.files import atomic_path
from fedbench.fingerprint import canonical_json
from fedbench.results.records import Record

SCHEMA = pa.schema(
    [
        *((name, pa.string()) for name in ("record_id", "scenario")), ("version", pa.int32()),
        *((name, pa.string()) for name in ("track", "fingerprint", "changes", "method", "plugin")),
        *((name, pa.string()) for name in ("plugin_version", "options")), ("seed", pa.int64()),
        *((name, pa.string()) for name in ("status", "stage")), ("round", pa.int32()),
        *((name, pa.string()) for name in ("client", "measure")),
        ("value", pa.float64()), ("se", pa.float64()), ("n", pa.int64()), ("unit", pa.string()),
        ("better", pa.string()),
    ]
)  # fmt: skip
"""``stage``: round, end, or the name of a control. ``client`` where a measure is of one client's items."""

COSTS = {
    "uplink_bytes": "bytes", "downlink_bytes": "bytes", "client_examples": "examples",
    "client_seconds": "s", "server_seconds": "s", "evaluation_seconds": "s",
}  # fmt: skip

FORMULAS = ("=", "+", "-", "@", "\t", "\r")
"""What a spreadsheet takes for a formula at the beginning of a text."""


def rows(record: Record) -> Iterator[dict[str, Any]]:
    """The rows of a record, in the order of its log."""
    scenario, method = record.scenario, record.method
    base = {
        "record_id": record.record_id, "scenario": scenario.name, "version": scenario.version,
        "track": scenario.track, "fingerprint": scenario.fingerprint,
        "changes": canonical_json(scenario.changes), "method": method.name,
        "plugin": method.provider.plugin, "plugin_version": method.provider.version,
        "options": canonical_json(method.options), "seed": record.seed, "status": record.status,
    }  # fmt: skip
    for entry in record.rounds:
        here = base | {"stage": "round", "round": entry.round}
        yield from (here | _measured(name, measure) for name, measure in entry.metrics.items())
        for client, measure in entry.clients.items():
            yield here | {"client": client} | _measured(record.primary, measure)
        yield from (here | cost for cost in _costs(entry.costs))
    for stage, found in {"end": record.final, **record.controls}.items():
        yield from (base | {"stage": stage} | _measured(name, measure) for name, measure in found.items())
    yield from (base | {"stage": "end"} | cost for cost in _costs(record.costs))


def _measured(name: str, measure: Measure) -> dict[str, Any]:
    return {"measure": name} | {key: getattr(measure, key) for key in ("value", "se", "n", "unit", "better")}


def _costs(costs: Costs) -> Iterator[dict[str, Any]]:
    for name, unit in COSTS.items():
        yield {
            "measure": f"cost/{name}",
            "value": float(getattr(costs, name)),
            "unit": unit,
            "better": "lower",
        }


def write_csv(records: Iterable[Record], path: Path) -> None:
    """A text that a spreadsheet would take for a formula begins with an apostrophe."""
    _write(records, path, pyarrow.csv.CSVWriter, _harmless)


def write_parquet(records: Iterable[Record], path: Path) -> None:
    _write(records, path, pyarrow.parquet.ParquetWriter, lambda row: row)


def _harmless(row: Mapping[str, Any]) -> dict[str, Any]:
    return {k: f"'{v}" if isinstance(v, str) and v.startswith(FORMULAS) else v for k, v in row.items()}


def _write(records: Iterable[Record], path: Path, writer: Any, row: Callable[[Any], Any]) -> None:
    """A batch for each record, so that thousands of them need the memory of one."""
    with atomic_path(path) as temporary, writer(str(temporary), SCHEMA) as file:
        for record in records:
            file.write_table(pa.Table.from_pylist([row(found) for found in rows(record)], schema=SCHEMA))
