"""``fedbench compare``: records side by side."""

from __future__ import annotations

import json
from dataclasses import asdict
from itertools import groupby
from pathlib import Path
from statistics import mode

import click

from fedbench.cli.tables import Format, format_option, print_rows
from fedbench.errors import UsageError
from fedbench.results.compare import Summary, summarise
from fedbench.results.store import find_records, read_record


@click.command("compare")
@click.argument("paths", nargs=-1, required=True, type=click.Path(path_type=Path))
@click.option("--metric", help="split/suite/value; the scenario's primary metric when absent.")
@click.option("--target", type=float, help="Value to reach; halfway from start to centralized when absent.")
@format_option
def command(paths: tuple[Path, ...], metric: str | None, target: float | None, format: Format) -> None:
    """Compare records (files, or folders of them): mean over seeds ± standard error between seeds.

    ± items: standard error within a run. gap closed: share of the way from the start to centralized. drop:
    mean drop from the running best, over rounds. rounds, MB to target: of the seeds that reached it.
    """
    for path in paths:
        if not path.exists():
            raise UsageError(f"no such record or folder: {path}")
    rows = summarise((read_record(path) for path in find_records(paths)), metric, target)
    if format == "json":
        click.echo(json.dumps([asdict(row) for row in rows], indent=1))
        return
    for title, group in groupby(rows, key=_title):
        click.echo(f"{title}\n")
        print_rows([_shown(row, rows) for row in group], format)
        click.echo()


def _title(row: Summary) -> str:
    """What the rows of one table have in common."""
    changes = " ".join(f"{path}={value}" for path, value in row.changes.items())
    better = {1: "higher", -1: "lower"}[row.sign]
    target = "" if row.target is None else f" · target {row.target:.3f}"
    return f"{row.scenario} {changes}".strip() + f" · {row.metric}, {better} is better{target}"


def _unusual(row: Summary, rows: list[Summary]) -> str:
    """The options in which a row departs from most rows of its method."""
    alike = [other.options for other in rows if other.method == row.method]
    usual = {key: mode(str(options.get(key)) for options in alike) for key in row.options}
    return " ".join(f"{key}={value}" for key, value in row.options.items() if str(value) != usual[key])


def _shown(row: Summary, rows: list[Summary]) -> dict[str, str]:
    count = len(row.seeds)
    some = f" ({row.reached} of {count})" if 0 < row.reached < count else ""
    error = "" if row.se is None else f" ± {row.se:.4f}"
    return {
        "method": f"{row.method} {_unusual(row, rows)}".strip(),
        "seeds": str(count),
        "mean": _number(row.mean) + error,
        "± items": _number(row.item_se),
        "gap closed": _number(row.gap_closed, 2),
        "worst client": _number(row.worst_client),
        "drop": _number(row.instability),
        "rounds to target": _number(row.rounds_to_target, 1) + some,
        "MB to target": _number(row.uplink_megabytes_to_target, 1),
        "MB up": _number(row.uplink_megabytes, 1),
        "examples": _number(row.client_examples, 0),
        "seconds": _number(row.seconds, 0),
    }


def _number(value: float | None, digits: int = 4) -> str:
    return "" if value is None else f"{value:.{digits}f}"
