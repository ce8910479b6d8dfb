"""``fedbench leaderboard add``: add records to a folder of records."""

from __future__ import annotations

from pathlib import Path

import click

from fedbench.cli.leaderboard.shared import folder_option
from fedbench.cli.main import App
from fedbench.cli.tables import Format, format_option, print_rows
from fedbench.leaderboard.adding import add


@click.command("add")
@click.argument("runs", nargs=-1, required=True, type=click.Path(path_type=Path))
@folder_option
@format_option
@click.pass_obj
def command(app: App, runs: tuple[Path, ...], records: Path, format: Format) -> None:
    """Copy the records of RUNS (files, or folders of them) among those of the boards, after checking them.

    Nothing is copied unless all are consistent; nothing that is there is ever overwritten.
    """
    added = add(runs, records, app.catalog)
    rows = [
        {"record": str(a.source), "lies at": str(a.target), "new": "yes" if a.new else "no"} for a in added
    ]
    print_rows(rows, format)
