"""``fedbench run``: run methods on scenarios, or finish what is missing of a matrix."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import click

from fedbench.api.metrics import Measure
from fedbench.api.options import parse_assignments
from fedbench.cli.main import DEBUG_VARIABLE, App
from fedbench.cli.tables import Format, format_option, print_rows
from fedbench.errors import FedbenchError, UsageError
from fedbench.experiments import (
    DEVICES,
    OUTPUT,
    Device,
    plan_matrix,
    run_matrix,
)
from fedbench.federation.executor_choice import parse_executor
from fedbench.jobs import Job
from fedbench.matrix import USUAL
from fedbench.process_state import output_on_stderr
from fedbench.results.own_part import final_scores, round_scores
from fedbench.results.records import Record
from fedbench.results.time_by_part import seconds_by_part

MOST_SEEDS = 1000
"""Most seeds in a range, against typing errors."""


def parse_seeds(ctx: click.Context, parameter: click.Parameter, value: str) -> tuple[int, ...]:
    """Parse the seeds in ``0``, ``0,3,5`` or ``0-4``; none if the value is empty and that is the default."""
    if value == parameter.default == "":
        return ()
    seeds: list[int] = []
    for part in value.split(","):
        if not (match := re.fullmatch(r"\s*(\d+)(?:-(\d+))?\s*", part)):
            raise UsageError(f"--seeds {value!r}", why="seeds are whole numbers: 0 or 0,3 or 0-4")
        first, last = int(match[1]), int(match[2] or match[1])
        if last - first >= MOST_SEEDS:
            raise UsageError(f"--seeds {value!r}", why=f"more than {MOST_SEEDS} seeds")
        seeds += range(first, last + 1)
    if not seeds:
        raise UsageError(f"--seeds {value!r} names no seed")
    return tuple(seeds)


device_option = click.option("--device", type=click.Choice(DEVICES), default="auto", show_default=True)


def _checked_executor(ctx: click.Context, parameter: click.Parameter, value: str) -> str:
    parse_executor(value)
    return value


executor_option = click.option(
    "--executor",
    callback=_checked_executor,
    default="auto",
    show_default=True,
    metavar="[auto|serial|batched|batched:N|workers:N|fastest]",
    help="How many clients are trained at once. auto follows a rule from the scenario's numbers, so its bits"
    " stay the same; batched takes the cohort, batched:N N clients; workers:N trains one at a time in each of"
    " N processes; fastest times serial against batched first.",
)
threads_option = click.option(
    "--threads",
    type=click.IntRange(min=1),
    help="Threads of the CPU to compute with; by default torch's own.",
)
output_option = click.option("--output", type=click.Path(path_type=Path), default=OUTPUT, show_default=True)


@click.command("run")
@click.option(
    "-m", "--method", "methods", multiple=True, required=True, help="Method, or provider/method. Repeatable."
)
@click.option(
    "-s",
    "--scenario",
    "scenarios",
    multiple=True,
    help="Scenario, or the path of a .toml file. Repeatable. When absent: "
    + ", ".join(f"{name} ({track})" for track, name in USUAL.items()),
)
@click.option("--seeds", default="0", callback=parse_seeds, show_default=True, help="0 or 0,3 or 0-4.")
@click.option(
    "-o",
    "--option",
    "options",
    metavar="KEY=VALUE",
    multiple=True,
    help="Method option; METHOD.KEY for one method.",
)
@click.option(
    "--set",
    "changes",
    metavar="PATH=VALUE",
    multiple=True,
    help="Change the scenario; marks the record as modified.",
)
@device_option
@executor_option
@threads_option
@output_option
@click.option("--again", is_flag=True, help="Run what is done as well; the old records stay beside the new.")
@click.option(
    "--profile",
    is_flag=True,
    help="Print where each run's time went, and leave a trace beside its record: trace.json, for Perfetto.",
)
@click.option(
    "--from",
    "start",
    type=click.Path(exists=True, path_type=Path),
    help="Begin with a trained model: a run's folder or record (made with --save-model), or an adapter"
    " folder of peft. Changes the scenario's start.",
)
@click.option(
    "--save-model",
    is_flag=True,
    help="Leave each run's last model beside its record, in model/: projector, adapters as peft has them.",
)
@click.option("--dry-run", is_flag=True, help="Check everything and say what would run.")
@format_option
@click.pass_obj
def command(
    app: App,
    methods: tuple[str, ...],
    scenarios: tuple[str, ...],
    seeds: tuple[int, ...],
    options: tuple[str, ...],
    changes: tuple[str, ...],
    device: Device,
    executor: str,
    threads: int | None,
    output: Path,
    again: bool,
    profile: bool,
    start: Path | None,
    save_model: bool,
    dry_run: bool,
    format: Format,
) -> None:
    """Run every METHOD on every SCENARIO with every seed.

    A matrix: issuing the same command again finishes what is missing and repeats nothing but what was made
    with other code or on other content; the old record of that stays beside the new one.
    """
    matrix: dict[str, Any] = {
        "methods": methods,
        "scenarios": scenarios,
        "seeds": seeds,
        "options": parse_assignments(options, "-o"),
        "changes": parse_assignments(changes, "--set") | (_begun(start) if start else {}),
        "output": output,
        "device": device,
        "catalog": app.catalog,
    }
    if dry_run:
        print_rows([_planned(job) for job in plan_matrix(**matrix)], format)
        return
    with output_on_stderr():
        result = run_matrix(
            **matrix,
            executor=executor,
            threads=threads,
            again=again,
            profile=profile,
            save_model=save_model,
        )
    if result.records or not result.failures:
        shown = _brief if format == "json" else _shown
        rows = [shown(*pair) for pair in zip(result.records, result.paths, strict=True)]
        if profile and format == "json":
            profiles = [result.profiles.get(path) for path in result.paths]
            rows = [{**row, "profile": seconds} for row, seconds in zip(rows, profiles, strict=True)]
        print_rows(rows, format)
        if profile and format == "table":
            click.echo()
            print_rows([_profiled(*pair) for pair in result.profiles.items()], format)
    exit_with(result.failures)


def _begun(start: Path) -> dict[str, str]:
    """The change of a scenario that begins with the model at ``start``."""
    from fedbench.models.saved import SavedModel, folder_of, folder_sha256

    folder = folder_of(start)
    SavedModel.read(folder)
    return {"start.sha256": folder_sha256(folder), "start.files.path": str(folder)}


def exit_with(failures: Sequence[FedbenchError]) -> None:
    """End the command with the first failure's exit code, or raise it under ``FEDBENCH_DEBUG``.

    Does nothing without failures. Each was reported when it happened.
    """
    if failures and os.environ.get(DEBUG_VARIABLE):
        raise failures[0]
    if failures:
        click.get_current_context().exit(failures[0].exit_code)


def _planned(job: Job) -> dict[str, Any]:
    return {
        "scenario": job.scenario.title,
        "method": job.method_entry.name,
        "seed": job.seed,
        "status": job.status,
        "folder": str(job.folder),
    }


def _brief(record: Record, path: Path) -> dict[str, Any]:
    """List a run's numbers, for programs."""
    start, primary = _start(record), _primary(record)
    return {
        "scenario": f"{record.scenario.name}@{record.scenario.version}",
        "method": record.method.name,
        "seed": record.seed,
        "record": str(path),
        "primary": record.primary,
        "value": primary and primary.value,
        "se": primary and primary.se,
        "start": start and start.value,
        "worst_client": record.spread and record.spread.worst,
        "uplink_bytes": record.costs.uplink_bytes,
        "left_out": record.left_out,
        "wall_seconds": record.wall_seconds,
        "seconds_by_part": seconds_by_part(record),
    }


def _shown(record: Record, path: Path) -> dict[str, str]:
    """Format a run as a line; its record's path says scenario, method and seed."""
    start, primary = _start(record), _primary(record)
    return {
        "record": str(path),
        record.primary: "" if primary is None else str(primary),
        "start": "" if start is None else f"{start.value:.4f}",
        "worst client": "" if record.spread is None else f"{record.spread.worst:.4f}",
        "uplink MB": f"{record.costs.uplink_bytes / 1e6:.1f}",
        "left out": ", ".join(f"{count} {why}" for why, count in record.left_out.items()),
        "seconds": f"{record.wall_seconds:.0f}",
    }


def _profiled(path: Path, seconds: Mapping[str, float]) -> dict[str, str]:
    """Format where a run's time went: the share of each part."""
    total = sum(seconds.values())
    shares = {part: f"{taken / total:.1%}" for part, taken in seconds.items()}
    return {"record": str(path), **shares, "seconds": f"{total:.1f}"}


def _primary(record: Record) -> Measure | None:
    return final_scores(record).get(record.primary)


def _start(record: Record) -> Measure | None:
    return round_scores(record)[0].get(record.primary)
