"""``fedbench export``: records in the formats of other tools."""

from __future__ import annotations

from pathlib import Path

import click

from fedbench.cli.main import warn
from fedbench.errors import UsageError
from fedbench.results.store import read_each

ENDINGS = {".csv": "csv", ".parquet": "parquet"}
"""The format that a file's ending stands for."""


@click.command("export")
@click.argument("paths", nargs=-1, required=True, type=click.Path(path_type=Path))
@click.option("--to", "target", required=True, type=click.Path(path_type=Path), help="A file, or a folder.")
@click.option(
    "--format",
    "format",
    type=click.Choice(["csv", "parquet", "every-eval-ever"]),
    help="As the name of the file ends when absent.",
)
def command(paths: tuple[Path, ...], target: Path, format: str | None) -> None:
    """Export records (files, or folders of them).

    csv, parquet: one long table with a row for each measure and cost of a round, a client or the end.
    every-eval-ever: a JSON file for each record, below a folder.

    A record that does not fit, and a file below a folder that is no record, is left out and named on stderr;
    the exit code is then 1.
    """
    chosen = format or ENDINGS.get(target.suffix)
    if chosen is None:
        raise UsageError(
            f"can't tell the format of {target}", fix="name it .csv or .parquet, or give --format"
        )
    left_out: list[str] = []
    records = (record for _, record in read_each(paths, left_out.append))
    try:
        if chosen == "every-eval-ever":
            from fedbench.results.every_eval_ever import write_log

            problems, written = [], 0
            for record in records:
                try:
                    click.echo(write_log(record, target))
                    written += 1
                except UsageError as error:
                    problems.append(error)
            if problems and not written:
                raise problems[0]
            left_out += [f"left out: {error}" for error in problems]
        else:
            from fedbench.results import exports

            write = exports.write_csv if chosen == "csv" else exports.write_parquet
            left_out += write(records, target)
            click.echo(target)
    except OSError as error:
        raise UsageError("can't write the export", where=target, why=error.strerror or error) from error
    for line in left_out:
        warn(line)
    click.get_current_context().exit(1 if left_out else 0)
