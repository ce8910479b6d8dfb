"""``fedbench leaderboard show``: print a board's tables."""

from __future__ import annotations

import json

import click

from fedbench.cli.leaderboard.shared import boards_argument, chosen, collect, open_sources, records_option
from fedbench.cli.main import App
from fedbench.cli.tables import PageFormat, page_format_option, print_rows
from fedbench.leaderboard.build import rank_boards


@click.command("show")
@boards_argument
@records_option
@page_format_option
@click.pass_obj
def command(app: App, boards: tuple[str, ...], records: tuple[str, ...], format: PageFormat) -> None:
    """Show how things stand on each BOARD (a name, or the path of a .toml file); without one, list them.

    gap closed: share of the way from the floor to the ceiling, its mean over seeds and 95 % interval.
    ≥ 0.5: share of the runs that close at least half of it. drop: mean drop from the running best.
    """
    selected = chosen(boards, app.catalog)
    if not boards:
        print_rows([{"board": b.name, "track": b.track, "title": b.title} for b in selected], format)
        return
    from fedbench.leaderboard.tables import document, headings

    gathered = collect(open_sources(records), app.catalog)
    standings = rank_boards(selected, app.catalog, gathered)
    if format == "json":
        keys = ("table", "note", "rows")
        tables = {
            standing.contest.board.name: [dict(zip(keys, part, strict=True)) for part in headings(standing)]
            for standing in standings
        }
        click.echo(json.dumps(tables, indent=1))
        return
    for standing in standings:
        if format == "markdown":
            click.echo(document(standing), nl=False)
            continue
        click.echo(f"{standing.contest.board.title}\n")
        for title, note, rows in headings(standing):
            click.echo("\n".join(filter(None, (title, note))) + "\n")
            if rows:
                print_rows(rows, format)
                click.echo()
