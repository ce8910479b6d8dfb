"""``fedbench leaderboard build``: the site."""

from __future__ import annotations

from pathlib import Path

import click

from fedbench.cli.leaderboard.shared import boards_argument, chosen, collect, records_option
from fedbench.cli.main import App, warn


@click.command("build")
@boards_argument
@records_option
@click.option(
    "--output", type=click.Path(path_type=Path), default=Path("leaderboards", "site"), show_default=True
)
@click.pass_obj
def command(app: App, boards: tuple[str, ...], records: Path, output: Path) -> None:
    """Write a static site over the records: of the BOARDs named, or of all that are installed.

    It needs nothing but a browser, and opens from its files. Records that lie beside the output are linked,
    others are copied into it. A record that is no valid one is named and left out.
    """
    found = collect(records, app.catalog)
    for verdict in found.verdicts:
        if verdict.problem:
            warn(f"{verdict.path}: {verdict.level.name} only: {verdict.problem}")
    pages = found.build(chosen(boards, app.catalog), app.catalog, output)
    warn(f"wrote {pages} pages")
    click.echo(output / "index.html")
