"""A study: methods on scenarios under one set of options and changes, and how it is run."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from json import dumps
from pathlib import Path
from typing import Any

import click
import torch

from fedbench.catalog import Catalog
from fedbench.errors import FedbenchError
from fedbench.jobs import plan_jobs
from fedbench.plugins import Plugins
from fedbench.progress import Progress
from fedbench.runner import Busy, Runner, choose_device

EXECUTOR = "batched"
FINDINGS = ("fed_cmp", "mor")


@dataclass(frozen=True)
class Study:
    """Methods on scenarios under one set of options and changes, with seeds 0 to ``seeds`` − 1."""

    scenarios: tuple[str, ...] = ()
    methods: tuple[str, ...] = ()
    options: dict[str, Any] = field(default_factory=dict)
    changes: dict[str, Any] = field(default_factory=dict)
    seeds: int = 3

    def command(self, method: str, scenario: str, seed: int) -> list[str]:
        """The command line of one of its runs."""
        options = [word for key, value in self.options.items() for word in ("-o", f"{key}={dumps(value)}")]
        changes = [word for key, value in self.changes.items() for word in ("--set", f"{key}={dumps(value)}")]
        named = ["-m", method, "-s", scenario, "--seeds", str(seed), "--executor", EXECUTOR]
        return ["fedbench", "run", *named, *options, *changes]


def run(studies: Sequence[Study], output: Path) -> int:
    """Run what is not done yet, all studies' first seeds before their second ones; return how many failed."""
    catalog = Catalog(Plugins())
    torch.set_num_threads(1)
    runner = Runner(catalog, choose_device("auto"), EXECUTOR, Progress())
    failed = 0
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
                except FedbenchError as error:  # stops no other
                    click.echo(error, err=True)
                    failed += 1
    return failed
