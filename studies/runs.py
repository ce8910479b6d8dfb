"""Run what a finding needs; issue it again to finish what is missing.

``python studies/runs.py fed_cmp`` or ``mor``. Several of these may run side by side on one
output folder, a thread each: each skips what another is running.
"""

from __future__ import annotations

from importlib import import_module
from pathlib import Path

import click

import study
from fedbench.errors import UsageError


@click.command()
@click.argument("what", type=click.Choice(study.FINDINGS))
@click.option("--output", type=click.Path(path_type=Path), default=Path("leaderboards/records"))
@click.option("--backwards", is_flag=True, help="last study first: for a second process beside the first")
def main(what: str, output: Path, backwards: bool) -> None:
    """Run the studies of WHAT that have no record below ``--output`` yet."""
    studies = import_module(f"{what}.studies").STUDIES
    if failed := study.run(studies[::-1] if backwards else studies, output):
        raise SystemExit(f"{failed} runs failed")


if __name__ == "__main__":
    try:
        main()
    except UsageError as error:
        raise SystemExit(str(error)) from error
