"""The runs behind ``docs/findings/fed-cmp.md``; issue it again to finish what is missing.

``python docs/findings/fed_cmp/runs.py`` (about two hours on two idle cores, one of them each). Several of
these may run side by side on one output folder, a thread each: each passes over what another is at.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from itertools import product
from json import dumps
from pathlib import Path
from typing import Any

import click
import torch

from fedbench.catalog import Catalog
from fedbench.cli.progress import Progress
from fedbench.errors import UsageError
from fedbench.jobs import plan_jobs
from fedbench.plugins import Plugins
from fedbench.runner import Busy, Runner, choose_device

EXECUTOR = "batched"
SCENARIOS = ("emoji-tt", "emoji-cross", "emoji-ii", "emoji-joint")
PAPER = (
    "fedavg", "fed-cmp", "fedavg-ties", "fedavg-dare", "fedavg-ta", "fedprox", "fedadam", "moon", "local",
)  # fmt: skip
ANCHORS = ("start", "centralized")


@dataclass(frozen=True)
class Study:
    """Methods on scenarios under one set of options and changes."""

    scenarios: tuple[str, ...] = ("emoji-ii",)
    methods: tuple[str, ...] = ("fed-cmp",)
    options: dict[str, Any] = field(default_factory=dict)
    changes: dict[str, Any] = field(default_factory=dict)
    seeds: int = 3

    def command(self, method: str, scenario: str, seed: int) -> list[str]:
        """What a person would type for one of its runs."""
        options = [word for key, value in self.options.items() for word in ("-o", f"{key}={dumps(value)}")]
        changes = [word for key, value in self.changes.items() for word in ("--set", f"{key}={dumps(value)}")]
        named = ["-m", method, "-s", scenario, "--seeds", str(seed), "--executor", EXECUTOR]
        return ["fedbench", "run", *named, *options, *changes]


CORNERS = [
    Study(options=dict(zip(("csc", "rwf", "opm"), switches, strict=True)))
    for switches in product([False, True], repeat=3)
    if not all(switches)
]
OPTIONS = [
    Study(options=options)
    for options in (
        {"target": "updates"},
        {"align": "match"},
        {"beta_rule": "shift"},
        {"beta_rule": "fixed", "beta": 0.1},
        {"rank": 16},
        {"rank": 64},
        {"alpha": 0.5},
        {"alpha": 2.0},
        {"opm": False, "fuse": "ties"},
        {"opm": False, "fuse": "ties", "target": "updates"},
    )
]
SERVER_STEP = Study(methods=("fedavgm",), options={"beta": 0.0, "eta": 0.2})
"""FedAvg that goes a fifth of the way each round: what momentum with β = 0.8 comes to on raw weights."""
SMALL_STEP = Study(methods=("fedadam",), options={"eta": 1e-3})
"""The paper's server learning rate."""
BOTH = ("fedavg", "fed-cmp")
STEPS = [
    Study(methods=BOTH, changes=changes)
    for changes in (
        {"federation.rounds": 3},
        {"federation.rounds": 30},
        {"training.batch_size": 4},
        {"training.batch_size": 64},
    )
]
MAIN = [Study(scenarios=(name,), methods=(*PAPER, *ANCHORS), seeds=5) for name in SCENARIOS]
STUDIES = [*MAIN, *CORNERS, *OPTIONS, SERVER_STEP, SMALL_STEP, *STEPS]


@click.command()
@click.option("--output", type=click.Path(path_type=Path), default=Path("leaderboards/records"))
@click.option("--backwards", is_flag=True, help="last study first: for a second process beside the first")
def main(output: Path, backwards: bool) -> None:
    catalog = Catalog(Plugins())
    torch.set_num_threads(1)
    runner = Runner(catalog, choose_device("auto"), EXECUTOR, Progress())
    studies = STUDIES[::-1] if backwards else STUDIES
    for seed in range(max(study.seeds for study in studies)):
        for study in (study for study in studies if seed < study.seeds):
            jobs = plan_jobs(
                catalog, methods=study.methods, scenarios=study.scenarios, seeds=[seed],
                options=study.options, changes=study.changes, output=output,
            )  # fmt: skip
            for job in jobs:
                if job.done:
                    continue
                runner.command = study.command(job.method_entry.name, job.scenario.name, seed)
                try:
                    runner.run(job)
                except Busy as error:
                    click.echo(error, err=True)


if __name__ == "__main__":
    try:
        main()
    except UsageError as error:
        raise SystemExit(str(error)) from error
