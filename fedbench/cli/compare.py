"""``fedbench compare``: records side by side."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import click

from fedbench.cli.tables import Format, format_option, print_rows
from fedbench.errors import UsageError
from fedbench.results.compare import summarise
from fedbench.results.store import find_records, read_record


@click.command("compare")
@click.argument("paths", nargs=-1, required=True, type=click.Path(path_type=Path))
@click.option("--metric", help="split/suite/value; the scenario's primary metric when absent.")
@click.option("--target", type=float, help="Value to reach; halfway from start to centralized when absent.")
@format_option
def command(paths: tuple[Path, ...], metric: str | None, target: float | None, format: Format) -> None:
    """Compare records (files, or folders of them): mean over seeds ± standard error between seeds.

    gap closed: share of the way from the start to centralized. drop: mean drop from the running best, over
    rounds. rounds, MB to target: of the seeds that reached it.
    """
    for path in paths:
        if not path.exists():
            raise UsageError(f"no such record or folder: {path}")
    rows = summarise((read_record(path) for path in find_records(paths)), metric, target)
    if format == "json":
        click.echo(json.dumps(rows, indent=1))
        return
    print_rows([_shown(row, _differing(row, rows)) for row in rows], format)


def _differing(row: dict[str, Any], rows: list[dict[str, Any]]) -> list[str]:
    """The options that tell the rows of one method on one scenario apart."""
    alike = [r["options"] for r in rows if (r["scenario"], r["method"]) == (row["scenario"], row["method"])]
    return [key for key in row["options"] if len({str(options.get(key)) for options in alike}) > 1]


def _shown(row: dict[str, Any], differing: list[str]) -> dict[str, str]:
    options = " ".join(f"{key}={row['options'][key]}" for key in differing)
    changes = " ".join(f"{path}={value}" for path, value in row["changes"].items())
    count = len(row["seeds"])
    some = f" ({row['reached']} of {count})" if 0 < row["reached"] < count else ""
    return {
        "scenario": f"{row['scenario']} {changes}".strip(),
        "method": f"{row['method']} {options}".strip(),
        "seeds": str(count),
        row["metric"]: _number(row["mean"]),
        "± seeds": _number(row["se"]),
        "± items": _number(row["item_se"]),
        "gap closed": _number(row["gap_closed"], 2),
        "worst client": _number(row["worst_client"]),
        "drop": _number(row["instability"]),
        "rounds to target": _number(row["rounds_to_target"], 1) + some,
        "MB to target": _number(row["uplink_megabytes_to_target"], 1),
        "uplink MB": _number(row["uplink_megabytes"], 1),
        "examples": _number(row["client_examples"], 0),
        "seconds": _number(row["seconds"], 0),
    }


def _number(value: float | None, digits: int = 4) -> str:
    return "" if value is None else f"{value:.{digits}f}"
