"""``fedbench leaderboard publish``: publish the site and its records."""

from __future__ import annotations

import tempfile
from pathlib import Path

import click

from fedbench.cli.leaderboard.shared import boards_argument, collect, open_sources, paged, records_option
from fedbench.cli.main import App, warn
from fedbench.cli.tables import Format, format_option, print_rows
from fedbench.errors import FedbenchError
from fedbench.leaderboard.build import rank_boards


@click.command("publish")
@boards_argument
@click.option("--to", required=True, metavar="SCHEME:TARGET", help="git:REMOTE#BRANCH or hf:USER/NAME.")
@records_option
@click.option("--message", default="Publish the leaderboards", show_default=True, help="Of the commit.")
@click.option("--dry-run", is_flag=True, help="Say what would change.")
@format_option
@click.pass_obj
def command(
    app: App,
    boards: tuple[str, ...],
    to: str,
    records: tuple[str, ...],
    message: str,
    dry_run: bool,
    format: Format,
) -> None:
    """Build the site and commit it, with its records, to a git remote's branch or the Hugging Face Hub.

    Every record has to be consistent. Nothing is forced, and no record that is there is altered or removed.
    """
    from fedbench.leaderboard.publishing import check_append_only, publisher
    from fedbench.leaderboard.site.build import plan_build

    target = publisher(to, app.catalog)
    sources = open_sources(records)
    gathered = collect(sources, app.catalog)
    if gathered.refused:
        raise FedbenchError(f"nothing was published: {len(gathered.refused)} records do not verify")
    with tempfile.TemporaryDirectory(prefix="fedbench-site-") as folder:
        site, scratch = Path(folder, "site"), Path(folder, "scratch")
        scratch.mkdir()
        plan_build(
            rank_boards(paged(boards, app.catalog), app.catalog, gathered),
            gathered.runs,
            app.catalog,
            folders=[source.folder for source in sources],
            output=site,
            warn=warn,
        ).write()
        publication = target.prepare(site, scratch)
        changes = publication.changes
        check_append_only(changes)
        if dry_run:
            print_rows(changes.rows, format)
        if not changes:
            warn("nothing to do: it is published as it is")
        elif dry_run:
            warn(f"{len(changes.rows)} files would change; nothing was published")
        else:
            where = publication.push(message)
            print_rows([{"files": len(changes.rows), "published": where}], format)
