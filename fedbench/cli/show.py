"""``fedbench show``: one method, scenario, record or part of a scenario, in full."""

from __future__ import annotations

import json
from pathlib import Path
from textwrap import fill
from typing import Any

import click
from tabulate import tabulate

from fedbench.api.options import described
from fedbench.api.scenario import load_scenario
from fedbench.cli.main import App, warn
from fedbench.cli.tables import Format, format_option
from fedbench.errors import Unavailable, UsageError
from fedbench.results.records import Record
from fedbench.results.store import read_record

Shown = tuple[dict[str, Any], list[str]]
"""For programs, and as tables."""

PARTS = ("backbone", "dataset", "partitioner")


@click.command("show")
@click.argument("what", type=click.Choice(["method", "scenario", "record", *PARTS]))
@click.argument("name")
@click.option(
    "--label",
    help="Scenario: the label to count. Default: what the primary measure asks about, else what the"
    " partition deals by.",
)
@click.option(
    "--picture",
    metavar="FILE",
    type=click.Path(path_type=Path),
    help="Scenario: draw the clients, as .svg, .png or .pdf.",
)
@format_option
@click.pass_obj
def command(app: App, what: str, name: str, label: str | None, picture: Path | None, format: Format) -> None:
    """Show a METHOD's options, a SCENARIO's settings and clients, what a RECORD (a file) says, or the options
    of a BACKBONE, DATASET or PARTITIONER that a scenario may name.

    A scenario ending in .toml is a file of your own.
    """
    if what != "scenario" and (label or picture):
        raise UsageError(f"{'--label' if label else '--picture'} is for scenarios only")
    if what == "record":
        found, tables = _record(Path(name))
    elif what == "method":
        found, tables = _method(app, name)
    elif what == "scenario":
        found, tables = _scenario(app, name, label, picture)
    else:
        found, tables = _part(app, what, name)
    click.echo(json.dumps(found, indent=1) if format == "json" else "\n\n".join(tables))


def _record(path: Path) -> Shown:
    if not path.is_file():
        raise UsageError(f"no such record: {path}", fix="give the path of a record.json")
    record = read_record(path)
    found = record.model_dump(mode="json")
    controls = (f"control: {name}\n{_measures(values)}" for name, values in found["controls"].items())
    return found, [_brief(found), _measures(found["final"]), *controls, _rounds(record)]


def _method(app: App, name: str) -> Shown:
    entry = app.catalog.methods[name]
    found = {
        "name": entry.name, "track": entry.spec.track, "summary": entry.spec.summary,
        "paper": entry.spec.paper, "provider": entry.plugin.key, "version": entry.plugin.version,
        "options": described(entry.options),
        "reductions": [
            {"with": dict(r.options), "equals": r.equals, "tolerance": r.tolerance, "why": r.why}
            for r in entry.spec.reductions
        ],
    }  # fmt: skip
    return found, [_brief(found), *_tables(found, "options", "reductions")]


def _part(app: App, kind: str, name: str) -> Shown:
    entry = getattr(app.catalog, f"{kind}s")[name]
    found = {
        "name": entry.name, "summary": entry.spec.summary,
        **({"licence": entry.spec.licence} if hasattr(entry.spec, "licence") else {}),
        "provider": entry.plugin.key, "version": entry.plugin.version, "options": described(entry.options),
    }  # fmt: skip
    return found, [_brief(found), *_tables(found, "options")]


def _scenario(app: App, name: str, label: str | None, picture: Path | None) -> Shown:
    """Its settings; and its clients, if its data is here."""
    from fedbench.cli import clients

    scenario = load_scenario(app.catalog.scenario(name).spec.path)
    found = scenario.model_dump(mode="json") | {"fingerprint": scenario.fingerprint}
    tables = [_brief(found)]
    try:
        held = clients.load(scenario, app.catalog, label)
    except Unavailable as error:
        if label or picture:
            raise
        warn(f"what the clients hold can't be shown: {error}")
        return found, tables
    if picture:
        clients.draw(held, scenario.title, picture)
    found["heterogeneity"] = clients.listed(held)
    return found, [*tables, clients.table(held), clients.skews(held)]


def _tables(found: dict[str, Any], *keys: str) -> list[str]:
    return [tabulate(found[key], headers="keys", disable_numparse=True) for key in keys if found[key]]


def _brief(found: dict[str, Any]) -> str:
    """The values that are not tables themselves."""
    rows = [(key, _cell(value)) for key, value in _flat(found) if key.split(".")[0] not in _TABLES]
    return tabulate(rows, tablefmt="plain", disable_numparse=True)


_TABLES = {"options", "reductions", "final", "controls", "rounds"}


def _cell(value: Any) -> Any:
    """Lists as lines that fit a terminal."""
    if not isinstance(value, list):
        return value
    return fill(", ".join(map(str, value)), 88, break_long_words=False, break_on_hyphens=False)


def _flat(value: Any, prefix: str = "") -> Any:
    """Nested dictionaries, and lists of them, as (dotted key, value)."""
    for key, inner in value.items():
        if isinstance(inner, list) and any(isinstance(part, dict) for part in inner):
            inner = dict(enumerate(inner))
        if isinstance(inner, dict):
            yield from _flat(inner, f"{prefix}{key}.")
        else:
            yield f"{prefix}{key}", inner


def _measures(measures: dict[str, Any]) -> str:
    rows = [
        {
            "measure": name,
            "value": f"{m['value']:.4f}",
            "se": "" if m["se"] is None else f"{m['se']:.4f}",
            "n": m["n"],
            "unit": m["unit"],
            "better": m["better"],
        }
        for name, m in measures.items()
    ]
    return tabulate(rows, headers="keys", disable_numparse=True)


QUIET = ("left out", "came late", "attackers")
"""Columns that a run without faults does without."""


def _clients(numbers: list[int]) -> str:
    return ", ".join(map(str, numbers))


def _rounds(record: Record) -> str:
    rows = []
    for entry in record.rounds:
        primary = entry.metrics.get(record.primary)
        rows.append(
            {
                "round": entry.round,
                "loss": "" if entry.loss is None else f"{entry.loss:.4f}",
                record.primary: "" if primary is None else f"{primary.value:.4f}",
                "left out": "; ".join(f"{client}: {why}" for client, why in entry.left_out.items()),
                "came late": _clients(entry.came_late),
                "attackers": _clients(entry.attackers),
                "digest": entry.digest[:12],
            }
        )
    kept = [key for key in rows[0] if any(row[key] for row in rows) or key not in QUIET] if rows else []
    rows = [{key: row[key] for key in kept} for row in rows]
    return tabulate(rows, headers="keys", disable_numparse=True)
