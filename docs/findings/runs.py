"""The runs behind a finding; issue it again to finish what is missing.

``python docs/findings/runs.py fed_cmp`` or ``mor``. Several of these may run side by side on one output
folder, a thread each: each passes over what another is at.
"""

from __future__ import annotations

from importlib import import_module
from pathlib import Path

import click

import study
from fedbench.errors import UsageError


@click.command()
@click.argument("finding", type=click.Choice(study.FINDINGS))
@click.option("--output", type=click.Path(path_type=Path), default=Path("leaderboards/records"))
@click.option("--backwards", is_flag=True, help="last study first: for a second process beside the first")
def main(finding: str, output: Path, backwards: bool) -> None:
    studies = import_module(f"{finding}.studies").STUDIES
    study.run(studies[::-1] if backwards else studies, output)


if __name__ == "__main__":
    try:
        main()
    except UsageError as error:
        raise SystemExit(str(error)) from error
