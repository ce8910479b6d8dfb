"""``fedbench data check``: every row and image of a scenario's data looked at."""

from __future__ import annotations

import json
from pathlib import Path

import click

from fedbench.cli.main import App, warn
from fedbench.cli.tables import Format, format_option
from fedbench.scenario_files import load_scenario


@click.command("check")
@click.argument("scenario")
@click.option(
    "--label",
    help="The label to count by client. Default: what the primary measure asks about, else what the partition"
    " deals by.",
)
@click.option(
    "--picture",
    metavar="FILE",
    type=click.Path(path_type=Path),
    help="Draw clients, suites, sizes of images and faults, as .svg, .png or .pdf.",
)
@format_option
@click.pass_context
def command(
    ctx: click.Context, scenario: str, label: str | None, picture: Path | None, format: Format
) -> None:
    """Check the data of a SCENARIO: a .toml file, or the name of an installed one.

    Reads every row and opens every image; encodes a few of them, to say about how long all would take. Prints
    what is broken by kind and number, what each client holds, the suites, the fingerprint and the size of the
    feature cache. Ends with exit code 1 if anything is broken.
    """
    from fedbench.cli.data import shown
    from fedbench.results.pictures import picture_format
    from fedbench.runner import choose_device
    from fedbench.runs.data_report import report_data

    app: App = ctx.obj
    if picture:
        picture_format(picture)
    loaded = load_scenario(app.catalog.scenario(scenario).spec.path, catalog=app.catalog)
    report = report_data(app.catalog.resolve(loaded), choose_device("auto"), warn, label)
    if picture:
        from fedbench.results.data_picture import data_picture
        from fedbench.results.pictures import save

        drawn = data_picture(
            loaded.title,
            clients=report.clients,
            suites={key: len(suite.items) for key, suite in report.data.suites.items()},
            sizes=report.images.sizes[report.images.whole],
            left_out=shown.by_kind(report.left_out),
            broken=shown.by_kind(report.broken),
        )
        save(drawn, picture)
        warn(f"wrote {picture}")
    if format == "json":
        click.echo(json.dumps(shown.listed(report), indent=1))
    else:
        click.echo("\n\n".join(shown.tables(report)))
    ctx.exit(1 if report.broken else 0)
