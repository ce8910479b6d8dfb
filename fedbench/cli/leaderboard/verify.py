"""``fedbench leaderboard verify``: check records up to a level of the ladder."""

from __future__ import annotations

from pathlib import Path

import click

from fedbench.cli.main import App
from fedbench.cli.tables import PageFormat, page_format_option, print_rows
from fedbench.errors import UsageError
from fedbench.leaderboard.contest import installed_methods
from fedbench.leaderboard.notes import notes
from fedbench.leaderboard.record_sources import REMOTE, open_source
from fedbench.verification.badges import add_badges, badges_beside
from fedbench.verification.comment import comment, rows
from fedbench.verification.history import tampered
from fedbench.verification.ladder import Level, Replay, run_again, verify

LEVELS = [level.name for level in Level if level > Level.unverified]


@click.command("verify")
@click.argument("records", nargs=-1, required=True)
@click.option(
    "--level",
    type=click.Choice(LEVELS),
    default=Level.consistent.name,
    show_default=True,
    help="The rung of the ladder that is asked for.",
)
@click.option("--against", metavar="REF", help="Refuse records that the merge base with REF has otherwise.")
@click.option(
    "--sample", type=click.IntRange(min=1), help="Run only so many records again, of installed methods."
)
@click.option("--sample-seed", type=int, default=0, show_default=True, help="Chooses which ones.")
@click.option("--note", is_flag=True, help="Note who was run again, for the boards' badges.")
@page_format_option
@click.pass_obj
def command(
    app: App,
    records: tuple[str, ...],
    level: str,
    against: str | None,
    sample: int | None,
    sample_seed: int,
    note: bool,
    format: PageFormat,
) -> None:
    """Check RECORDS: files, folders of them, git:REMOTE[#BRANCH] or hf:USER/NAME. Exit code 1 if one does not
    reach the level asked for.

    valid: form, hashes, scenario as installed. consistent: costs, cohorts, measures and digests add up, in a
    record and between records. replayed: the first rounds were run again here. reproduced: all of them.
    Nothing in a record is ever executed.
    """
    asked = Level[level]
    if note and any(name.startswith(REMOTE) for name in records):
        raise UsageError("--note is for records that lie here", fix="name their folder")
    paths = [_path(name) for name in records]
    badges = badges_beside(paths) if note else None
    verdicts = verify(paths, app.catalog)
    if asked > Level.consistent:
        here = installed_methods(app.catalog)
        verdicts = run_again(
            verdicts,
            asked,
            _again(app, asked),
            sample=sample,
            seed=sample_seed,
            can_run=lambda run: run.contender[:2] in here,
        )
    if against is not None:
        verdicts += tampered(paths, against, verdicts)
    if badges is not None:
        add_badges(badges, verdicts)
    why_not_counted = notes(app.catalog, verdicts)
    if format == "markdown":
        click.echo(comment(verdicts, why_not_counted, asked), nl=False)
    else:
        print_rows(rows(verdicts, why_not_counted), format)
    click.get_current_context().exit(1 if any(verdict.fails(asked) for verdict in verdicts) else 0)


def _path(name: str) -> Path:
    """Find the file or folder that ``name`` stands for; a remote source is fetched."""
    path = Path(name)
    if name.startswith(REMOTE) or path.is_dir():
        return open_source(name).folder
    return path


def _again(app: App, asked: Level) -> Replay:
    """Make what runs a record again; only this imports torch."""
    from fedbench.replay import Replayer

    replayer = Replayer(app.catalog)
    return replayer.replay if asked == Level.replayed else replayer.reproduce
