"""``fedbench leaderboard build``: write the boards' tables and the site."""

from __future__ import annotations

from pathlib import Path

import click

from fedbench.cli.leaderboard.shared import (
    boards_argument,
    collect,
    home,
    open_sources,
    paged,
    records_option,
)
from fedbench.cli.main import App, warn
from fedbench.leaderboard.build import out_of_date, pages, rank_boards, write


@click.command("build")
@boards_argument
@records_option
@click.option(
    "--output",
    type=click.Path(path_type=Path),
    help="Folder of the site; `site` beside the records when absent.",
)
@click.option("--check", is_flag=True, help="Write nothing; exit code 1 if a table is not current.")
@click.pass_obj
def command(
    app: App, boards: tuple[str, ...], records: tuple[str, ...], output: Path | None, check: bool
) -> None:
    """Write each BOARD, or all that are installed: Markdown tables beside the records, and a static site.

    The site needs nothing but a browser, also from its files. Records that lie beside it are linked, others
    copied into it. The same records give the same bytes. Tables are kept with the records; a site is made
    whenever one is wanted, so that --check looks at the tables only.
    """
    sources = open_sources(records)
    gathered = collect(sources, app.catalog)
    ranked = rank_boards(paged(boards, app.catalog), app.catalog, gathered)
    tables, folder = pages(ranked), home(sources, output)
    if check:
        stale = out_of_date(tables, folder)
        for path in stale:
            click.echo(f"{path} is not current")
        click.get_current_context().exit(1 if stale else 0)
    from fedbench.leaderboard.site.build import plan_build

    site = plan_build(
        ranked,
        gathered.runs,
        app.catalog,
        folders=[source.folder for source in sources],
        output=output or folder / "site",
        warn=warn,
    )
    for path in write(tables, folder):
        click.echo(str(path))
    site.write()
    click.echo(str(site.output / "index.html"))
