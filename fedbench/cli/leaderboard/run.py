"""``fedbench leaderboard run``: fill a board."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import click

from fedbench.board_runs import board_jobs, missing_jobs, run_board
from fedbench.catalog import Catalog
from fedbench.cli.leaderboard.shared import collect, open_sources, records_option
from fedbench.cli.main import App, warn
from fedbench.cli.run import (
    device_option,
    executor_option,
    exit_with,
    output_option,
    parse_seeds,
    threads_option,
)
from fedbench.cli.tables import Format, format_option, print_rows
from fedbench.experiments import Device, make_runner
from fedbench.jobs import Job
from fedbench.leaderboard.adding import add
from fedbench.leaderboard.boards import find_board
from fedbench.leaderboard.contest import open_board
from fedbench.leaderboard.sources.fetching import RecordSource


@click.command("run")
@click.argument("board")
@click.option("--missing", is_flag=True, help="Only runs without a record; then add theirs to --records.")
@click.option("-m", "--method", "methods", multiple=True, help="Only this method. Repeatable.")
@click.option("-s", "--scenario", "scenarios", multiple=True, help="Only this scenario. Repeatable.")
@click.option("--seeds", default="", callback=parse_seeds, help="Only these seeds: 0 or 0,3 or 0-4.")
@records_option
@device_option
@executor_option
@threads_option
@output_option
@click.option("--dry-run", is_flag=True, help="List the runs and whether they are done in --output.")
@format_option
@click.pass_obj
def command(
    app: App,
    board: str,
    missing: bool,
    methods: tuple[str, ...],
    scenarios: tuple[str, ...],
    seeds: tuple[int, ...],
    records: tuple[str, ...],
    device: Device,
    executor: str,
    threads: int | None,
    output: Path,
    dry_run: bool,
    format: Format,
) -> None:
    """Run what BOARD (a name, or the path of a .toml file) compares: methods × scenarios × seeds.

    Anchors and first seeds come first. Runs go to --output; issuing the command again takes up where it
    stopped. With --missing, runs that have a consistent record in --records are left out, and the new
    records are added to the first folder of --records once all of them are consistent, as `leaderboard add`
    does.
    """
    contest = open_board(find_board(board, app.catalog), app.catalog)
    sources = open_sources(records) if missing else []
    jobs = board_jobs(
        contest,
        app.catalog,
        output=output,
        methods=methods,
        scenarios=scenarios,
        seeds=seeds,
        warn=warn,
    )
    if missing:
        asked = len(jobs)
        jobs = missing_jobs(jobs, collect(sources, app.catalog).counting)
        warn(f"{asked - len(jobs)} of {asked} runs have records")
    if dry_run:
        print_rows([_row(job) for job in jobs], format)
        return
    runner = make_runner(app.catalog, device=device, executor=executor, threads=threads)
    paths, failures = run_board(jobs, runner)
    rows = [{"record": str(path)} for path in paths]
    if missing and paths:
        rows = _added(paths, sources, app.catalog)
    print_rows(rows, format)
    exit_with(failures)


def _row(job: Job) -> dict[str, Any]:
    return {
        "scenario": job.scenario.title,
        "method": job.method_entry.name,
        "options": " ".join(f"{k}={v}" for k, v in job.options.model_dump(exclude_defaults=True).items()),
        "seed": job.seed,
        "status": job.status,
        "folder": str(job.folder),
    }


def _added(paths: Sequence[Path], sources: Sequence[RecordSource], catalog: Catalog) -> list[dict[str, str]]:
    """Add the records at ``paths`` to the first source that is a local folder; rows with their places."""
    own = next((source.folder for source in sources if not source.remote), None)
    if own is None:
        warn("nothing was added: --records names no folder here")
        return [{"record": str(path)} for path in paths]
    return [{"record": str(added.source), "lies at": str(added.target)} for added in add(paths, own, catalog)]
