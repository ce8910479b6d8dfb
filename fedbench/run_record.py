"""The record of a run: what was asked for, what came of it, where and how it ran."""

from __future__ import annotations

import resource
import sys
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import reduce
from pathlib import Path
from typing import Any

import torch

from fedbench.api.metrics import Costs
from fedbench.catalog import FILE
from fedbench.environment import describe, device_class, device_name
from fedbench.federation.executors import Executor
from fedbench.jobs import Job
from fedbench.numerics import NUMERICS
from fedbench.registry import Entry
from fedbench.resolution import ResolvedScenario
from fedbench.results.identity import Identity
from fedbench.results.records import (
    DataInfo,
    MethodInfo,
    MetricInfo,
    Provider,
    Record,
    RoundEntry,
    ScenarioInfo,
    Spread,
    Status,
)
from fedbench.results.run_command import run_command
from fedbench.runs.inputs import ContentHashes

DTYPE = torch.float32
"""The dtype of the clients' work."""


@dataclass(frozen=True, kw_only=True)
class RunFacts:
    """What happened in a run, beside its final measures."""

    data: DataInfo
    """Data, backbone and partition."""
    identity: Identity
    """The code and the content that it was computed with."""
    rounds: Sequence[RoundEntry]
    """Every finished round."""
    executor: Executor | None
    """What trained the clients; None if the run ended before it was chosen."""
    started: str
    """When its first attempt began (UTC, ISO 8601)."""
    finished: str
    """When its last attempt ended (UTC, ISO 8601): never before its start plus ``seconds``."""
    seconds: float
    """Time taken, that of earlier attempts included."""
    resumed: bool
    """Whether it was taken up from a checkpoint."""


def make_record(
    job: Job,
    facts: RunFacts,
    *,
    status: Status,
    ending: Mapping[str, Any],
    device: torch.device,
) -> Record:
    """Make the sealed record of ``job``; ``ending``: the fields that its end gives, measures or an error."""
    rounds = list(facts.rounds)
    return Record(
        run_id=job.run_id,
        status=status,
        scenario=ScenarioInfo(
            name=job.scenario.name,
            version=job.scenario.version,
            track=job.scenario.track,
            fingerprint=job.scenario.fingerprint,
            changes=dict(job.scenario.changes),
            provider=_provider(job.scenario_entry),
        ),
        method=MethodInfo(
            name=job.method_entry.name,
            options=job.options.model_dump(mode="json"),
            provider=_provider(job.method_entry),
        ),
        seed=job.seed,
        primary=job.scenario.evaluation.primary,
        data=facts.data,
        measured_by=_measured_by(job.resolved),
        identity=_whole(facts, device),
        rounds=rounds,
        spread=Spread.of(rounds[-1].clients) if rounds else None,
        costs=reduce(Costs.__add__, (entry.costs for entry in rounds), Costs()),
        peak_memory_bytes=_peak_memory(device),
        wall_seconds=facts.seconds,
        started=facts.started,
        finished=facts.finished,
        resumed=facts.resumed,
        environment=describe()
        | describe_place(device)
        | {"executor": asdict(facts.executor) if facts.executor else {}},
        command=_command(job, facts.executor, device),
        **ending,
    ).sealed()


def identify(job: Job, content: ContentHashes) -> Identity:
    """The code and the content of a run, which must be the same for its record or checkpoint to be used."""
    return job.code.model_copy(
        update={
            "data_sha256": content.data,
            "partition_sha256": content.partition,
            "backbone_sha256": content.backbone,
        }
    )


def _whole(facts: RunFacts, device: torch.device) -> Identity:
    """The identity with the machine and the arithmetic."""
    executor = facts.executor
    return facts.identity.model_copy(
        update={
            "device_class": device_class(device),
            "dtype": str(DTYPE).removeprefix("torch."),
            "executor": executor.name if executor else None,
            "chunk": executor.chunk if executor else None,
            "threads": torch.get_num_threads(),
            "numerics": NUMERICS,
        }
    )


def _command(job: Job, executor: Executor | None, device: torch.device) -> list[str]:
    """The command that makes this record alone, with the same bits on such a device: it names the clients in
    a pass and the threads, whatever they were chosen by. Paths are as :func:`_portable` has them."""
    entry = job.scenario_entry
    changes = dict(job.scenario.changes)
    changes |= {key: _portable(place) for key, place in job.scenario.moves.items()}
    words = run_command(
        methods=[job.method_entry.qualified],
        scenarios=[_portable(str(entry.spec.path)) if entry.plugin is FILE else entry.qualified],
        seeds=[job.seed],
        options=job.options.model_dump(mode="json", exclude_defaults=True),
        changes=changes,
    )
    words += ["--device", device.type]
    words += ["--executor", executor.word] if executor else []
    return [*words, "--threads", str(torch.get_num_threads())]


def _portable(path: str) -> str:
    """The path, or its last part if it leads out of the working folder: a record names no folder of the
    machine that it was made on."""
    way = Path(path)
    return way.name if way.is_absolute() or ".." in way.parts else path


def describe_place(device: torch.device) -> dict[str, Any]:
    """Name the device and count the threads that a run here computes with."""
    return {"device": device_name(device), "threads": torch.get_num_threads()}


def _measured_by(resolved: ResolvedScenario) -> dict[str, MetricInfo]:
    """The scenario's metrics and the packages that they and their forms come from."""
    return {
        metric.name: MetricInfo(
            form=(form := resolved.forms[metric.spec.form]).name,
            provider=_provider(metric),
            form_provider=_provider(form),
        )
        for metric in resolved.metrics
    }


def _provider(entry: Entry[Any]) -> Provider:
    plugin = entry.plugin
    return Provider(distribution=plugin.distribution, version=plugin.version, plugin=plugin.name)


def _peak_memory(device: torch.device) -> int:
    if device.type == "cuda":
        return int(torch.cuda.max_memory_allocated(device))
    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit
