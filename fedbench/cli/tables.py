"""Rows printed as an aligned table, as Markdown or as JSON."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any, Literal

import click
from tabulate import tabulate

from fedbench.results.markdown import markdown_table

Format = Literal["table", "json"]
format_option = click.option(
    "--format", "format", type=click.Choice(["table", "json"]), default="table", show_default=True
)

PageFormat = Literal["table", "markdown", "json"]
page_format_option = click.option(
    "--format", "format", type=click.Choice(["table", "markdown", "json"]), default="table", show_default=True
)


def print_rows(rows: Sequence[Mapping[str, Any]], format: PageFormat) -> None:
    """Print rows with the same keys to stdout."""
    if format == "json":
        click.echo(json.dumps(list(rows), indent=1))
    elif format == "markdown":
        click.echo(markdown_table(rows))
    else:
        click.echo(tabulate(rows, headers="keys", tablefmt="simple", disable_numparse=True))
