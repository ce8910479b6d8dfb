"""A study: methods on scenarios under one set of options and changes, and running several."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import torch

import fedbench
from fedbench.installed import installed_catalog
from fedbench.runner import Busy

EXECUTOR: Literal["batched"] = "batched"
FINDINGS = ("fed_cmp", "mor")


@dataclass(frozen=True)
class Study:
    """Methods on scenarios under one set of options and changes, with seeds 0 to ``seeds`` − 1."""

    scenarios: tuple[str, ...] = ()
    methods: tuple[str, ...] = ()
    options: dict[str, Any] = field(default_factory=dict)
    changes: dict[str, Any] = field(default_factory=dict)
    seeds: int = 3


def run(studies: Sequence[Study], output: Path) -> int:
    """Run what is not done yet, all studies' first seeds before their second ones; return how many failed.

    A run that another process is at is passed over.
    """
    torch.set_num_threads(1)
    catalog, failed = installed_catalog(), 0
    for seed in range(max(study.seeds for study in studies)):
        for study in (study for study in studies if seed < study.seeds):
            result = fedbench.run_matrix(
                methods=study.methods,
                scenarios=study.scenarios,
                seeds=seed,
                options=study.options,
                changes=study.changes,
                output=output,
                executor=EXECUTOR,
                catalog=catalog,
            )
            failed += sum(not isinstance(failure, Busy) for failure in result.failures)
    return failed
