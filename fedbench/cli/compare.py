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
@format_option
def command(paths: tuple[Path, ...], metric: str | None, format: Format) -> None:
    """Compare records (files, or folders of them): mean over seeds ± standard error between seeds."""
    for path in paths:
        if not path.exists():
            raise UsageError(f"no such record or folder: {path}")
    rows = summarise((read_record(path) for path in find_records(paths)), metric)
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
    return {
        "scenario": f"{row['scenario']} {changes}".strip(),
        "method": f"{row['method']} {options}".strip(),
        "seeds": str(len(row["seeds"])),
        row["metric"]: _number(row["mean"]),
        "± seeds": _number(row["se"]),
        "± items": _number(row["item_se"]),
        "start": _number(row["start"]),
        "worst client": _number(row["worst_client"]),
        "uplink MB": f"{row['uplink_megabytes']:.1f}",
        "examples": f"{row['client_examples']:.0f}",
        "seconds": f"{row['seconds']:.0f}",
    }


def _number(value: float | None) -> str:
    return "" if value is None else f"{value:.4f}"
