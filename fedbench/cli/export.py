"""``fedbench export``: records in the formats of other tools."""

from __future__ import annotations

from pathlib import Path

import click

from fedbench.errors import UsageError
from fedbench.results.store import find_records, read_record

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
    """
    chosen = format or ENDINGS.get(target.suffix)
    if chosen is None:
        raise UsageError(
            f"can't tell the format of {target}", fix="name it .csv or .parquet, or give --format"
        )
    files = find_records(paths)
    records = (read_record(path) for path in files)
    try:
        if chosen == "every-eval-ever":
            from fedbench.results.every_eval_ever import write_log

            for record in records:
                click.echo(write_log(record, target))
            return
        from fedbench.results import exports

        write = exports.write_csv if chosen == "csv" else exports.write_parquet
        write(records, target)
    except OSError as error:
        raise UsageError("can't write the export", where=target, why=error.strerror or error) from error
    click.echo(target)
