"""``fedbench show``: everything about a method, scenario, record or part of a scenario."""

from __future__ import annotations

import json
from pathlib import Path
from textwrap import fill
from typing import Any

import click
from tabulate import tabulate

from fedbench.api.options import described
from fedbench.api.specs import BackboneSpec, DatasetSpec
from fedbench.cli.main import App, warn
from fedbench.cli.tables import Format, format_option
from fedbench.errors import Unavailable, UsageError
from fedbench.results.own_part import round_scores
from fedbench.results.records import Provider, Record
from fedbench.results.store import read_record
from fedbench.results.time_by_part import seconds_by_part
from fedbench.scenario_files import load_scenario
from fedbench.scenario_text import scenario_toml

Shown = tuple[dict[str, Any], list[str]]
"""The content, and the same as tables of text."""

PARTS = ("backbone", "dataset", "partitioner")


@click.command("show")
@click.argument("what", type=click.Choice(["method", "scenario", "record", "form", *PARTS]))
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
@click.option("--toml", is_flag=True, help="Scenario: write the whole as a file that can be run.")
@format_option
@click.pass_obj
def command(
    app: App, what: str, name: str, label: str | None, picture: Path | None, toml: bool, format: Format
) -> None:
    """Show a METHOD's options, a SCENARIO's settings and clients, what a RECORD (a file) says, the columns of
    a FORM of items, or the options of a BACKBONE, DATASET or PARTITIONER that a scenario may name.

    A scenario ending in .toml is a file of your own.
    """
    given = [flag for flag, value in (("--label", label), ("--picture", picture), ("--toml", toml)) if value]
    if what != "scenario" and given:
        raise UsageError(f"{given[0]} is for scenarios only")
    if toml:
        if len(given) > 1 or format == "json":
            raise UsageError("--toml writes the settings alone", fix="leave out the other options")
        scenario = load_scenario(app.catalog.scenario(name).spec.path, catalog=app.catalog)
        click.echo(scenario_toml(app.catalog.completed(scenario)), nl=False)
        return
    if what == "record":
        content, tables = _record(Path(name))
    elif what == "method":
        content, tables = _method(app, name)
    elif what == "form":
        content, tables = _form(app, name)
    elif what == "scenario":
        content, tables = _scenario(app, name, label, picture)
    else:
        content, tables = _part(app, what, name)
    click.echo(json.dumps(content, indent=1) if format == "json" else "\n\n".join(tables))


def _record(path: Path) -> Shown:
    if not path.is_file():
        raise UsageError(f"no such record: {path}", fix="give the path of a record.json")
    record = read_record(path)
    content = record.model_dump(mode="json")
    controls = (
        f"control: {name}\n{_measures(values | _of_clients(content, name))}"
        for name, values in content["controls"].items()
    )
    final = [*_metrics(record), _measures(content["final"])]
    tables = [_brief(content), *final, *controls, _rounds(record), _time(record)]
    return content, tables


def _method(app: App, name: str) -> Shown:
    entry = app.catalog.methods[name]
    content = {
        "name": entry.name,
        "track": entry.spec.track,
        "summary": entry.spec.summary,
        "paper": entry.spec.paper,
        "provider": entry.plugin.key,
        "version": entry.plugin.version,
        "options": described(entry.options),
        "reductions": [
            {"with": dict(r.options), "equals": r.equals, "tolerance": r.tolerance, "why": r.why}
            for r in entry.spec.reductions
        ],
    }
    return content, [_brief(content), *_tables(content, "options", "reductions")]


def _form(app: App, name: str) -> Shown:
    """Show what metrics of a form receive, and which there are."""
    entry = app.catalog.forms[name]
    metrics = (m for m in app.catalog.metrics.entries if m.spec.form.rpartition("/")[2] == entry.name)
    content = {
        "name": entry.name,
        "summary": entry.spec.summary,
        "provider": entry.plugin.key,
        "version": entry.plugin.version,
        "columns": [{"column": name, "holds": what} for name, what in entry.spec.columns.items()],
        "metrics": [
            {"metric": m.name, "values": ", ".join(m.spec.values), "summary": m.spec.summary} for m in metrics
        ],
    }
    return content, [_brief(content), *_tables(content, "columns", "metrics")]


def _part(app: App, kind: str, name: str) -> Shown:
    entry = app.catalog.registry(kind)[name]
    content = {
        "name": entry.name,
        "summary": entry.spec.summary,
        **({"licence": entry.spec.licence} if isinstance(entry.spec, BackboneSpec | DatasetSpec) else {}),
        "provider": entry.plugin.key,
        "version": entry.plugin.version,
        "options": described(entry.options),
    }
    return content, [_brief(content), *_tables(content, "options")]


def _scenario(app: App, name: str, label: str | None, picture: Path | None) -> Shown:
    """Show the settings; and the clients, if the data is available."""
    from fedbench.cli import clients

    path = app.catalog.scenario(name).spec.path
    resolved = app.catalog.resolve(load_scenario(path, catalog=app.catalog))
    scenario = resolved.scenario
    content = scenario.model_dump(mode="json") | {"fingerprint": scenario.fingerprint}
    tables = [_brief(content)]
    try:
        held = clients.load(resolved, label)
    except Unavailable as error:
        if label or picture:
            raise
        warn(f"what the clients hold can't be shown: {error}")
        return content, tables
    if picture:
        clients.draw(held, scenario.title, picture)
    content["heterogeneity"] = clients.listed(held)
    return content, [*tables, clients.table(held), clients.skews(held)]


def _tables(content: dict[str, Any], *keys: str) -> list[str]:
    return [tabulate(content[key], headers="keys", disable_numparse=True) for key in keys if content[key]]


def _brief(content: dict[str, Any]) -> str:
    """Format the values that have no table of their own."""
    rows = [(key, _cell(value)) for key, value in _flat(content) if key.split(".")[0] not in _TABLES]
    return tabulate(rows, tablefmt="plain", disable_numparse=True)


_TABLES = {
    *("options", "reductions", "columns", "metrics"),
    *("measured_by", "final", "controls", "control_clients", "rounds"),
}


def _cell(value: Any) -> Any:
    """Wrap lists into lines that fit a terminal."""
    if not isinstance(value, list):
        return value
    return fill(", ".join(map(str, value)), 88, break_long_words=False, break_on_hyphens=False)


def _flat(value: Any, prefix: str = "") -> Any:
    """Flatten nested dictionaries, and lists of them, to (dotted key, value)."""
    for key, inner in value.items():
        if isinstance(inner, list) and any(isinstance(part, dict) for part in inner):
            inner = dict(enumerate(inner))
        if isinstance(inner, dict):
            yield from _flat(inner, f"{prefix}{key}.")
        else:
            yield f"{prefix}{key}", inner


def _metrics(record: Record) -> list[str]:
    """The metrics and where they and their forms come from; nothing for a record that doesn't say."""
    rows = [
        {"metric": name, "from": _source(metric.provider), "form": metric.form}
        | {"form from": _source(metric.form_provider)}
        for name, metric in record.measured_by.items()
    ]
    return [tabulate(rows, headers="keys", disable_numparse=True)] if rows else []


def _source(provider: Provider) -> str:
    return f"{provider.plugin} ({provider.distribution} {provider.version})"


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


def _of_clients(content: dict[str, Any], control: str) -> dict[str, Any]:
    """The primary measure of every client's items under ``control``, by a name that says so."""
    clients = content.get("control_clients", {}).get(control, {})
    return {f"{content['primary']}, client {client}": measure for client, measure in clients.items()}


QUIET = ("left out", "came late", "attackers")
"""Columns that are left out where all are empty."""


def _clients(numbers: list[int]) -> str:
    return ", ".join(map(str, numbers))


def _time(record: Record) -> str:
    parts = seconds_by_part(record)
    whole = sum(parts.values()) or 1.0
    rows = [
        {"time": part, "seconds": f"{seconds:.1f}", "share": f"{seconds / whole:.0%}"}
        for part, seconds in parts.items()
    ]
    return tabulate(rows, headers="keys", disable_numparse=True)


def _rounds(record: Record) -> str:
    rows = []
    for entry, scores in zip(record.rounds, round_scores(record), strict=True):
        primary = scores.get(record.primary)
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
