"""The runs behind a finding or the boards; issue it again to finish what is missing.

``python docs/findings/runs.py fed_cmp``, ``mor`` or ``boards``. Several of these may run side by side on one
output folder, a thread each: each passes over what another is at.
"""

from __future__ import annotations

from importlib import import_module
from pathlib import Path

import click

import study
from fedbench.errors import UsageError


@click.command()
@click.argument("what", type=click.Choice(study.WHATS))
@click.option("--output", type=click.Path(path_type=Path), default=Path("leaderboards/records"))
@click.option("--backwards", is_flag=True, help="last study first: for a second process beside the first")
def main(what: str, output: Path, backwards: bool) -> None:
    studies = import_module(f"{what}.studies").STUDIES
    if failed := study.run(studies[::-1] if backwards else studies, output):
        raise SystemExit(f"{failed} runs failed")


if __name__ == "__main__":
    try:
        main()
    except UsageError as error:
        raise SystemExit(str(error)) from error
