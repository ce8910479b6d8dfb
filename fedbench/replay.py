"""Replaying a record: running its first rounds, or all of them, with what is installed here.

A run is repeated as the record says it was made: with its threads, its executor and its chunk. On the same
hardware class (processor, device, threads, torch) the parameters must then be the same bits. Elsewhere every
measure must agree within the standard error that the new run gives.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import torch

from fedbench.api.metrics import Measure
from fedbench.catalog import Catalog
from fedbench.environment import describe, device_class, device_name, version_of
from fedbench.errors import FedbenchError
from fedbench.federation.executors import Executor
from fedbench.jobs import Job, plan_jobs
from fedbench.observers import Observer, Silent
from fedbench.results.identity import Identity
from fedbench.results.records import Record, RoundEntry
from fedbench.results.store import read_record
from fedbench.runner import Runner, choose_device, computing_with
from fedbench.runs.protocol import ProgressCallbacks

FIRST = 2
"""Rounds after round 0 that a replay runs."""


@dataclass
class Replayer:
    """Runs records again; the bench of the last scenario stays ready for the next record."""

    catalog: Catalog
    """Methods and scenarios, by the names that records use."""
    rounds: int = FIRST
    """Rounds after round 0 that :meth:`replay` runs."""
    observer: Observer = field(default_factory=Silent)
    """Follows the training."""
    _runners: dict[str, Runner] = field(default_factory=dict)

    def replay(self, path: Path) -> str:
        """Run the first rounds of the record at ``path``; the first difference, empty if there is none."""
        return self._again(path, self._first_rounds)

    def reproduce(self, path: Path) -> str:
        """Run the whole record at ``path``; the first difference in rounds, final measures or controls."""
        return self._again(path, self._everything)

    def _again(self, path: Path, compare: Callable[[Record, bool], str]) -> str:
        record = read_record(path)
        try:
            with computing_with(_recorded_threads(record)):
                return compare(record, self._is_same_hardware(record))
        except FedbenchError as error:
            return f"it can't be run here: {error}"
        except Exception as error:  # a plugin's; the other records are still to be checked
            return f"it can't be run here: {type(error).__name__}: {error}"

    def _first_rounds(self, record: Record, same: bool) -> str:
        job = self._job(record, Path())
        bench, method = self._runner(record).bench(job.resolved), job.method_entry.create(job.options)
        run = bench.run(method, job.seed, _recorded_executor(record) or "auto")
        rounds = run.rounds(run.executor(None), None, ProgressCallbacks(tick=self.observer.tick))
        entries = [done.entry for done in islice(rounds, 1 + self.rounds)]
        return _rounds(record.rounds, entries, same)

    def _everything(self, record: Record, same: bool) -> str:
        with TemporaryDirectory() as folder:
            runner = self._runner(record)
            runner.executor = _recorded_executor(record) or "auto"
            again = read_record(runner.run(self._job(record, Path(folder))))
        if len(again.rounds) != len(record.rounds):
            return f"it has {len(record.rounds)} rounds, a run has {len(again.rounds)}"
        return (
            _rounds(record.rounds, again.rounds, same)
            or _measures("at the end", record.final, again.final, same)
            or next(
                (
                    problem
                    for where, old, new in _controls(record, again)
                    if (problem := _measures(where, old, new, same))
                ),
                "",
            )
        )

    def _runner(self, record: Record) -> Runner:
        """The runner for the record's kind of device; for the one that is here if that is missing."""
        name = "cpu" if record.environment.get("device") == "cpu" else "auto"
        if name not in self._runners:
            self._runners[name] = Runner(self.catalog, choose_device(name), observer=self.observer)
        return self._runners[name]

    def _is_same_hardware(self, record: Record) -> bool:
        """Whether this process must give the record's bits.

        A record that names its device class is held to that as well: the name of a processor doesn't tell
        one with AVX-512 from one without.
        """
        device = self._runner(record).device
        recorded = record.identity.device_class if record.identity else None
        if recorded not in (None, device_class(device)):
            return False
        here = describe() | {"device": device_name(device), "threads": torch.get_num_threads()}
        return hardware_class(record.environment) == hardware_class(here)

    def _job(self, record: Record, output: Path) -> Job:
        method = record.method
        (job,) = plan_jobs(
            self.catalog,
            methods=[f"{method.provider.plugin}/{method.name}"],
            scenarios=[record.scenario.name],
            seeds=[record.seed],
            options=method.options,
            changes=record.scenario.changes,
            output=output,
        )
        return job


def hardware_class(environment: Mapping[str, Any]) -> tuple[Any, ...]:
    """What must agree for two runs of a request to give the same bits."""
    torch_version = version_of(environment, "torch")
    return *(environment.get(key) for key in ("processor", "device", "threads")), torch_version


def _recorded_executor(record: Record) -> Executor | None:
    """The recorded executor, if it is a possible one; another may round differently. One worker has the bits
    of many."""
    recorded = _arithmetic(record)
    name, chunk = recorded.executor, recorded.chunk
    if name == "workers":
        return Executor(name=name, chunk=1, workers=1)
    if name not in ("serial", "batched") or not 1 <= (chunk or 0) <= len(record.data.client_examples):
        return None
    return Executor(name=name, chunk=chunk or 1)


def _recorded_threads(record: Record) -> int | None:
    """The recorded number of threads, if there are so many here; another number may round differently."""
    count = _arithmetic(record).threads
    return count if 1 <= (count or 0) <= (os.cpu_count() or 1) else None


def _arithmetic(record: Record) -> Identity:
    """The identity with executor, chunk and threads; those of the environment for a record from before the
    identity had them."""
    if record.identity and record.identity.executor:
        return record.identity
    environment = dict(record.environment)
    executor = environment.get("executor")
    noted = executor if isinstance(executor, Mapping) else {}
    recorded = {
        "executor": noted.get("name"),
        "chunk": noted.get("chunk"),
        "threads": environment.get("threads"),
    }
    kinds = {"executor": str, "chunk": int, "threads": int}
    return Identity(**{key: value for key, value in recorded.items() if type(value) is kinds[key]})


def _rounds(recorded: Sequence[RoundEntry], fresh: Sequence[RoundEntry], same: bool) -> str:
    """The first difference between recorded and fresh rounds; empty if there is none."""
    for old, new in zip(recorded, fresh, strict=False):
        where = f"round {old.round}"
        for what in ("uplink_bytes", "downlink_bytes", "client_examples"):
            if getattr(old.costs, what) != getattr(new.costs, what):
                return f"{where}: {what} is {getattr(old.costs, what)}, a run has {getattr(new.costs, what)}"
        if problem := _measures(where, old.metrics, new.metrics, same):
            return problem
        if problem := _measures(f"{where}, clients", old.clients, new.clients, same):
            return problem
        if same and old.digest != new.digest:
            return f"{where}: a run on this same hardware class gives other parameters"
    return ""


def _controls(
    record: Record, again: Record
) -> Iterator[tuple[str, Mapping[str, Measure], Mapping[str, Measure]]]:
    """Every control's measures, and those of its clients if they were recorded; with those of a run."""
    for name, measures in again.controls.items():
        yield f"control {name}", record.controls[name], measures
    for name, clients in record.control_clients.items():
        yield f"control {name}, client", clients, again.control_clients.get(name, {})


def _measures(where: str, old: Mapping[str, Measure], new: Mapping[str, Measure], same: bool) -> str:
    if sorted(old) != sorted(new):
        return f"{where}: it measures other things than a run does"
    for name, measure in old.items():
        fresh = new[name]
        if (measure.n, measure.unit, measure.better) != (fresh.n, fresh.unit, fresh.better):
            return f"{where}: {name} is not of what a run measures: {fresh.n} items"
        tolerance = 0.0 if same else max(fresh.se or 0.0, 1 / fresh.n)
        if abs(measure.value - fresh.value) > tolerance:
            return f"{where}: {name} is {measure.value:.6g}, a run gives {fresh.value:.6g}"
    return ""
