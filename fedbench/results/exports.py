"""Records as one long table, a row per measure and cost: CSV, Parquet. Imports pyarrow; import it late."""

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

COLUMNS: Mapping[str, pa.DataType] = {
    "record_id": pa.string(),
    "scenario": pa.string(),
    "version": pa.int32(),
    "track": pa.string(),
    "fingerprint": pa.string(),
    "changes": pa.string(),
    "method": pa.string(),
    "plugin": pa.string(),
    "plugin_version": pa.string(),
    "options": pa.string(),
    "seed": pa.int64(),
    "status": pa.string(),
    "stage": pa.string(),
    "round": pa.int32(),
    "client": pa.string(),
    "measure": pa.string(),
    "value": pa.float64(),
    "se": pa.float64(),
    "n": pa.int64(),
    "unit": pa.string(),
    "better": pa.string(),
}
"""``stage``: round, end, or a control's name. ``client``: set where a measure is of one client's items."""

SCHEMA = pa.schema(list(COLUMNS.items()))

COSTS = {
    "uplink_bytes": "bytes",
    "downlink_bytes": "bytes",
    "client_examples": "examples",
    "client_seconds": "s",
    "server_seconds": "s",
    "evaluation_seconds": "s",
}
"""The units of the costs that are exported."""

FORMULAS = ("=", "+", "-", "@", "\t", "\r")
"""Beginnings of a text that a spreadsheet takes for a formula."""


def rows(record: Record) -> Iterator[dict[str, Any]]:
    """List a record's rows, in the order of its log."""
    scenario, method = record.scenario, record.method
    base = {
        "record_id": record.record_id,
        "scenario": scenario.name,
        "version": scenario.version,
        "track": scenario.track,
        "fingerprint": scenario.fingerprint,
        "changes": canonical_json(scenario.changes),
        "method": method.name,
        "plugin": method.provider.plugin,
        "plugin_version": method.provider.version,
        "options": canonical_json(method.options),
        "seed": record.seed,
        "status": record.status,
    }
    for entry in record.rounds:
        here = base | {"stage": "round", "round": entry.round}
        yield from (here | _measured(name, measure) for name, measure in entry.metrics.items())
        for client, measure in entry.clients.items():
            yield here | {"client": client} | _measured(record.primary, measure)
        yield from (here | cost for cost in _costs(entry.costs))
    for stage, measures in {"end": record.final, **record.controls}.items():
        yield from (base | {"stage": stage} | _measured(name, measure) for name, measure in measures.items())
    for stage, clients in record.control_clients.items():
        for client, measure in clients.items():
            yield base | {"stage": stage, "client": client} | _measured(record.primary, measure)
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


def write_csv(records: Iterable[Record], path: Path) -> list[str]:
    """Write a CSV file; a line for each record that does not fit its columns.

    A text that a spreadsheet would take for a formula gets an apostrophe before it.
    """
    return _write(records, path, pyarrow.csv.CSVWriter, _harmless)


def write_parquet(records: Iterable[Record], path: Path) -> list[str]:
    """Write a Parquet file; a line for each record that does not fit its columns."""
    return _write(records, path, pyarrow.parquet.ParquetWriter, lambda row: row)


def _harmless(row: Mapping[str, Any]) -> dict[str, Any]:
    return {k: f"'{v}" if isinstance(v, str) and v.startswith(FORMULAS) else v for k, v in row.items()}


def _write(records: Iterable[Record], path: Path, writer: Any, row: Callable[[Any], Any]) -> list[str]:
    """Write a batch for each record, so that thousands of them need the memory of one."""
    left_out = []
    with atomic_path(path) as temporary, writer(str(temporary), SCHEMA) as file:
        for record in records:
            try:
                table = pa.Table.from_pylist([row(line) for line in rows(record)], schema=SCHEMA)
            except (pa.ArrowException, OverflowError) as error:  # such as a seed of more than 64 bits
                name = f"{record.method.name} seed {record.seed} on {record.scenario.name}"
                left_out.append(f"left out: {name} does not fit the table's columns: {error}")
                continue
            file.write_table(table)
    return left_out
