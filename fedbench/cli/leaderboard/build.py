"""``fedbench leaderboard build``: the boards' tables."""

from __future__ import annotations

from pathlib import Path

import click

from fedbench.cli.leaderboard.shared import boards_argument, chosen, collect, records_option
from fedbench.cli.main import App
from fedbench.leaderboard.build import out_of_date, pages, write


@click.command("build")
@boards_argument
@records_option
@click.option("--check", is_flag=True, help="Write nothing; exit code 1 if what is there is not current.")
@click.pass_obj
def command(app: App, boards: tuple[str, ...], records: Path, check: bool) -> None:
    """Write the tables of each BOARD, or of all that are installed, as Markdown beside the records.

    The same records give the same bytes.
    """
    gathered = collect(records, app.catalog)
    found = pages(chosen(boards, app.catalog), app.catalog, gathered)
    if check:
        stale = out_of_date(found, records.parent)
        for path in stale:
            click.echo(f"{path} is not current")
        click.get_current_context().exit(1 if stale else 0)
    for path in write(found, records.parent):
        click.echo(str(path))
