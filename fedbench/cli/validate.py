"""``fedbench validate``: check scenario and record files."""

from __future__ import annotations

import json
from pathlib import Path

import click

from fedbench.analysis import validate as check
from fedbench.cli.main import App
from fedbench.cli.tables import Format, format_option, print_rows
from fedbench.errors import FedbenchError, UsageError
from fedbench.results.records import Record


@click.command("validate")
@click.argument("paths", nargs=-1, type=click.Path(path_type=Path))
@click.option("--schema", is_flag=True, help="Print the JSON Schema of a record instead.")
@format_option
@click.pass_context
def command(ctx: click.Context, paths: tuple[Path, ...], schema: bool, format: Format) -> None:
    """Check scenario files (.toml) and records (.json): their form, their names, their hashes.

    Ends with exit code 1 if any is bad. Nothing in them is run.
    """
    app: App = ctx.obj
    if schema:
        click.echo(json.dumps(Record.model_json_schema(), indent=1))
        return
    if not paths:
        raise UsageError("nothing to validate", fix="name scenario (.toml) or record (.json) files")
    rows = []
    for path in paths:
        try:
            check(path, catalog=app.catalog)
            rows.append({"file": str(path), "verdict": "valid", "problem": ""})
        except FedbenchError as error:
            rows.append({"file": str(path), "verdict": "invalid", "problem": str(error)})
    print_rows(rows, format)
    ctx.exit(1 if any(row["problem"] for row in rows) else 0)
