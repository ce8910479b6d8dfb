"""``fedbench list``: what is installed."""

from __future__ import annotations

from typing import Any

import click

from fedbench.catalog import Catalog
from fedbench.cli.main import App
from fedbench.cli.tables import Format, format_option, print_rows
from fedbench.errors import UsageError
from fedbench.registry import Entry
from fedbench.scenario_files import load_scenario

LISTED = {
    f"{kind}s": kind
    for kind in ("method", "scenario", "backbone", "dataset", "partitioner", "form", "metric")
}
"""The kinds as the command takes them, in the plural, with their names."""


@click.command("list")
@click.argument("kinds", type=click.Choice(list(LISTED)), nargs=-1)
@format_option
@click.pass_obj
def command(app: App, kinds: tuple[str, ...], format: Format) -> None:
    """List what the installed plugins provide: methods and scenarios, or the KINDS named."""
    rows = [row for kind in kinds or ("methods", "scenarios") for row in _rows(app, LISTED[kind])]
    print_rows(rows, format)


def _rows(app: App, kind: str) -> list[dict[str, str]]:
    rows = []
    for entry in app.catalog.registry(kind).entries:
        try:
            track, summary = _about(kind, entry, app.catalog)
        except UsageError as error:
            app.plugins.complain(entry.plugin, f"{kind} {entry.name!r} left out", error)
            continue
        provider = f"{entry.plugin.name} ({entry.plugin.distribution} {entry.plugin.version})"
        rows.append(
            {"kind": kind, "name": entry.name, "track": track, "summary": summary, "provider": provider}
        )
    return rows


def _about(kind: str, entry: Entry[Any], catalog: Catalog) -> tuple[str, str]:
    if kind == "scenario":
        scenario = load_scenario(entry.spec.path, catalog=catalog)
        return scenario.track, scenario.summary
    return (entry.spec.track if kind == "method" else ""), entry.spec.summary
