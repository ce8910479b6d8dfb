"""``fedbench compare``: compare records."""

from __future__ import annotations

import json
from pathlib import Path

import click

from fedbench.analysis import compare
from fedbench.cli.main import App
from fedbench.cli.tables import PageFormat, page_format_option, print_rows
from fedbench.results.markdown import plain
from fedbench.results.store import RECORDS


@click.command("compare")
@click.argument("what", nargs=-1, required=True)
@click.option(
    "--against", metavar="WHAT", help="What the others are held against; the first WHAT when absent."
)
@click.option("--metric", help="split/suite/value; the scenario's primary metric when absent.")
@click.option("--target", type=float, help="Value to reach; halfway from start to ceiling when absent.")
@click.option(
    "--fail-on",
    "guards",
    metavar="METRIC:CHANGE",
    multiple=True,
    help="Exit code 1 if a metric changes by more: accuracy:-1% or nll:+0.05. Repeatable.",
)
@click.option(
    "--plot",
    "picture",
    metavar="FILE",
    type=click.Path(path_type=Path),
    help="Draw learning curves, costs and clients, as .svg, .png or .pdf.",
)
@click.option(
    "--records",
    type=click.Path(path_type=Path),
    default=RECORDS,
    show_default=True,
    help="Where methods that are named are looked up.",
)
@page_format_option
@click.pass_obj
def command(
    app: App,
    what: tuple[str, ...],
    against: str | None,
    metric: str | None,
    target: float | None,
    guards: tuple[str, ...],
    picture: Path | None,
    records: Path,
    format: PageFormat,
) -> None:
    """Compare WHAT (record files, folders of them, or methods by name): mean over seeds ± standard error.

    ± items: standard error within a run. gap closed: share of the way from the start to the ceiling. drop:
    mean drop from the running best, over rounds. rounds, MB to target: of the seeds that reached it.

    A method is shown with its options that are not the defaults. If several of WHAT hold other records of one
    method and seed, each has a row of its own.

    If more than one is named, the others are held against the first, if that is one method: the mean
    difference over the seeds that both have and its 95 % interval; better or worse if that leaves out zero.
    effect: the mean difference over the standard deviation of the differences.

    A run without the number, and a file below a folder that is no record, is left out and named on stderr.
    """
    comparison = compare(
        what,
        against=against,
        metric=metric,
        target=target,
        fail_on=guards,
        records=records,
        catalog=app.catalog,
    )
    if picture:
        comparison.save(picture)
    if format == "json":
        click.echo(json.dumps(comparison.to_dicts(), indent=1))
    for table in comparison.tables if format != "json" else ():
        title = f"{table.scenario} · {table.measure}"
        click.echo(f"{plain(title) if format == 'markdown' else title}\n")
        print_rows(table.rows, format)
        click.echo()
    for line in dict.fromkeys((*comparison.left_out, *comparison.broken)):
        click.echo(line, err=True)
    click.get_current_context().exit(1 if comparison.broken else 0)
