"""``fedbench leaderboard``: boards over records."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import click

from fedbench.cli.main import App, warn
from fedbench.cli.tables import PageFormat, page_format_option, print_rows
from fedbench.leaderboard.board import find_board, open_board
from fedbench.leaderboard.gather import RECORDS
from fedbench.leaderboard.levels import Level

ASKABLE = [level.name for level in Level if level > Level.unverified]

records_option = click.option(
    "--records",
    type=click.Path(path_type=Path),
    default=RECORDS,
    show_default=True,
    help="The folder of all records.",
)


@click.group("leaderboard")
def command() -> None:
    """Boards over records: show and build them, verify and add records."""


@command.command("show")
@click.argument("board", required=False)
@records_option
@page_format_option
@click.pass_obj
def show(app: App, board: str | None, records: Path, format: PageFormat) -> None:
    """Show a BOARD (a name, or the path of a .toml file), or list the boards that there are."""
    if board is None:
        found = [find_board(entry.name, app.catalog) for entry in app.catalog.leaderboards.entries]
        print_rows([{"board": b.name, "track": b.track, "title": b.title} for b in found], format)
        return
    from fedbench.leaderboard.gather import gather
    from fedbench.leaderboard.ranking import rank
    from fedbench.leaderboard.tables import document, headings

    contest = open_board(find_board(board, app.catalog), app.catalog)
    gathered = gather(records, app.catalog)
    _warn_of(len(gathered.refused), records)
    standings = rank(contest, gathered.runs, gathered.levels)
    if format == "markdown":
        click.echo(document(standings), nl=False)
    elif format == "json":
        tables = [{"table": title, "note": note, "rows": rows} for title, note, rows in headings(standings)]
        click.echo(json.dumps({"board": contest.board.name, "tables": tables}, indent=1))
    else:
        for title, note, rows in headings(standings):
            click.echo(f"{title}\n{note}\n".rstrip() + "\n")
            if rows:
                print_rows(rows, format)
                click.echo()


@command.command("build")
@records_option
@click.option(
    "--output",
    type=click.Path(path_type=Path),
    help="Where the tables go; beside the folder of records when absent.",
)
@click.option("--check", is_flag=True, help="Write nothing; exit code 1 if what is there is not current.")
@click.pass_obj
def build(app: App, records: Path, output: Path | None, check: bool) -> None:
    """Write every board's tables as Markdown. The same records give the same bytes."""
    from fedbench.leaderboard.build import out_of_date, pages, standings, write

    found = pages(standings(app.catalog, records, lambda count: _warn_of(count, records)))
    folder = output or records.parent
    if check:
        stale = out_of_date(found, folder)
        for path in stale:
            click.echo(f"{path} is not current")
        click.get_current_context().exit(1 if stale else 0)
    for path in write(found, folder):
        click.echo(str(path))


@command.command("add")
@click.argument("runs", nargs=-1, required=True, type=click.Path(path_type=Path))
@records_option
@click.pass_obj
def add(app: App, runs: tuple[Path, ...], records: Path) -> None:
    """Copy the records of RUNS (files, or folders of them) among those of the boards, after checking them.

    Nothing is copied unless all are consistent; nothing that is there is ever overwritten.
    """
    from fedbench.leaderboard.submit import add

    rows = [
        {"record": str(found.source), "lies at": str(found.target), "new": "yes" if found.new else "no"}
        for found in add(runs, records, app.catalog)
    ]
    print_rows(rows, "table")


@command.command("verify")
@click.argument("paths", nargs=-1, required=True, type=click.Path(path_type=Path))
@click.option(
    "--level", type=click.Choice(ASKABLE), default=Level.consistent.name, show_default=True,
    help="The rung of the ladder that is asked for.",
)  # fmt: skip
@click.option(
    "--against",
    metavar="REF",
    help="Refuse changed and vanished records, compared with the merge base with REF.",
)
@click.option("--sample", type=click.IntRange(min=1), help="Run only so many of the records again.")
@click.option("--sample-seed", type=int, default=0, show_default=True, help="Which ones.")
@click.option("--note", is_flag=True, help="Note who was replayed or reproduced, for the boards' badges.")
@page_format_option
@click.pass_obj
def verify(
    app: App,
    paths: tuple[Path, ...],
    level: str,
    against: str | None,
    sample: int | None,
    sample_seed: int,
    note: bool,
    format: PageFormat,
) -> None:
    """Check records (files, or folders of them). Exit code 1 if one does not reach the level asked for.

    valid: form, hashes, scenario as installed. consistent: costs, cohorts, measures and digests add up, in a
    record and between records. replayed: the first rounds were run again here. reproduced: all of them.
    Nothing in a record is ever executed.
    """
    from fedbench.leaderboard.badges import add_badges, badges_beside
    from fedbench.leaderboard.comment import comment, rows
    from fedbench.leaderboard.history import tampered
    from fedbench.leaderboard.notes import notes
    from fedbench.leaderboard.verify import climb, verify

    asked = Level[level]
    verdicts = verify(paths, app.catalog)
    if asked > Level.consistent:
        verdicts = climb(verdicts, asked, _again(app, asked), sample, sample_seed)
    if against is not None:
        verdicts += tampered(paths, against)
    if note:
        add_badges(badges_beside(paths), verdicts)
    told = notes(app.catalog, verdicts)
    if format == "markdown":
        click.echo(comment(verdicts, told, asked), nl=False)
    else:
        print_rows(rows(verdicts, told), format)
    click.get_current_context().exit(1 if any(verdict.fails(asked) for verdict in verdicts) else 0)


def _again(app: App, asked: Level) -> Any:
    """What runs a record again. Only here does the leaderboard need torch."""
    from fedbench.replay import Replayer

    replayer = Replayer(app.catalog)
    return replayer.replay if asked == Level.replayed else replayer.reproduce


def _warn_of(count: int, records: Path) -> None:
    if count:
        fix = f"`fedbench leaderboard verify {records}` says why"
        warn(f"{count} records are not consistent; the badge says so — {fix}")
