"""From jobs to records: run what isn't done yet, keep what happened, whatever happens."""

from __future__ import annotations

import resource
import sys
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from functools import reduce
from pathlib import Path
from typing import Any, Protocol

import torch
from filelock import FileLock, Timeout

from fedbench.alignment import bench as alignment
from fedbench.api.events import PolicyStep, RoundEnd, RunEnd, RunError, RunStart
from fedbench.api.metrics import Costs
from fedbench.api.scenario import Scenario
from fedbench.api.specs import Track
from fedbench.catalog import Catalog, Entry
from fedbench.environment import describe, device_name
from fedbench.errors import FedbenchError, UsageError
from fedbench.federation import checkpoint
from fedbench.federation.executors import Executor, ExecutorName
from fedbench.federation.run_state import RunState
from fedbench.files import remove_partial
from fedbench.jobs import Job
from fedbench.preference import prepare as preference
from fedbench.results.records import MethodInfo, Provider, Record, RoundEntry, ScenarioInfo, Spread, Status
from fedbench.results.store import write_record, write_round_log
from fedbench.runs.protocol import Bench, ProgressCallbacks, Run

CHECKPOINTS = "checkpoints"
Prepare = Callable[[Scenario, Catalog, torch.device, Callable[[str], None]], Bench]
TRACKS: dict[Track, Prepare] = {"alignment": alignment.prepare, "preference": preference.prepare}


class Observer(Protocol):
    """Who watches a run as it goes, beside the plugins: a progress bar."""

    def say(self, line: str) -> None: ...
    def run_started(self, event: RunStart, examples: int) -> None: ...
    def tick(self, examples: int, loss: torch.Tensor) -> None: ...
    def round_ended(self, event: RoundEnd) -> None: ...
    def run_ended(self, event: RunEnd) -> None: ...


class Silent:
    """An observer that does nothing."""

    def say(self, line: str) -> None: ...
    def run_started(self, event: RunStart, examples: int) -> None: ...
    def tick(self, examples: int, loss: torch.Tensor) -> None: ...
    def round_ended(self, event: RoundEnd) -> None: ...
    def run_ended(self, event: RunEnd) -> None: ...


def choose_device(name: str) -> torch.device:
    """``auto``, ``cpu`` or ``cuda`` to a device; :class:`UsageError` if it isn't there."""
    available = torch.cuda.is_available()
    if name == "cuda" and not available:
        raise UsageError(
            "no CUDA device", why=f"torch {torch.__version__} sees none", fix="use --device cpu or auto"
        )
    return torch.device("cuda" if available and name != "cpu" else "cpu")


def prepare(scenario: Scenario, catalog: Catalog, device: torch.device, say: Callable[[str], None]) -> Bench:
    """What all runs of ``scenario`` share."""
    return TRACKS[scenario.track](scenario, catalog, device, say)


@dataclass
class Runner:
    """Runs jobs one after another, keeping each scenario's bench (data, features, LLM) resident."""

    catalog: Catalog
    device: torch.device
    executor: ExecutorName = "auto"
    observer: Observer = field(default_factory=Silent)
    command: Sequence[str] = ()
    _benches: dict[str, Bench] = field(default_factory=dict)

    def bench(self, scenario: Scenario) -> Bench:
        """The scenario's bench, prepared on first use."""
        if scenario.fingerprint not in self._benches:
            self._benches.clear()
            try:
                bench = prepare(scenario, self.catalog, self.device, self.observer.say)
            except FedbenchError:
                raise
            except Exception as error:
                raise FedbenchError(
                    f"scenario {scenario.title} can't be prepared",
                    why=f"{type(error).__name__}: {error}",
                    fix="FEDBENCH_DEBUG=1 shows where",
                ) from error
            self._benches[scenario.fingerprint] = bench
        return self._benches[scenario.fingerprint]

    def run(self, job: Job) -> Path:
        """Run one job, or take it up where it stopped; the path of its completed record.

        Once it has begun, on Ctrl-C a record with status ``cancelled`` is left and KeyboardInterrupt goes on;
        on any other error one with status ``failed``. Errors are :class:`FedbenchError`, what asks for what
        can't be :class:`RunRefused`.
        """
        if not job.done:
            bench = self.bench(job.scenario)
            with _taken(job.folder):
                if not job.done:  # another process may have finished it meanwhile
                    remove_partial(job.folder)
                    try:
                        return _Attempt(self, job, bench).run()
                    except UsageError as error:
                        raise RunRefused(str(error)) from error
                    except FedbenchError:
                        raise
                    except Exception as error:
                        raise _explained(error, job) from error
        checkpoint.discard(job.folder / CHECKPOINTS)
        return job.record


class Busy(FedbenchError):
    """Another process is at work on the same run."""

    exit_code = 2


class RunRefused(FedbenchError):
    """A run can't be made as it was asked for; the others of a matrix can."""

    exit_code = 2


@contextmanager
def _taken(folder: Path) -> Iterator[None]:
    """Hold the run's folder for this process alone."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        lock = FileLock(folder / ".lock", timeout=0).acquire()
    except Timeout as error:
        raise Busy("another process is running this", where=folder) from error
    except OSError as error:
        raise UsageError("can't write the output folder", where=folder, why=error.strerror) from error
    with lock:
        yield


class _Attempt:
    """One try at a job, under its lock."""

    def __init__(self, runner: Runner, job: Job, bench: Bench) -> None:
        self.runner, self.job, self.bench = runner, job, bench
        self.started = datetime.now(UTC).isoformat(timespec="seconds")
        self.begin = time.perf_counter()
        self.entries: list[RoundEntry] = []
        self.checkpoints = job.folder / CHECKPOINTS
        self.resumed = False
        self.executor: Executor | None = None
        self.about: dict[str, Any] = {
            "scenario": job.scenario.title,
            "method": job.method_entry.name,
            "seed": job.seed,
        }
        if runner.device.type == "cuda":  # the most that this run takes, not the one before it
            torch.cuda.reset_peak_memory_stats(runner.device)

    def run(self) -> Path:
        plugins, observer, job = self.runner.catalog.plugins, self.runner.observer, self.job
        method = job.method_entry.create(job.options)
        run = self.bench.run(method, job.seed, self.runner.executor)
        rounds = job.scenario.federation.rounds
        start = RunStart(
            **self.about, rounds=rounds, primary=job.scenario.evaluation.primary, folder=job.folder
        )
        plugins.emit("fedbench_run_start", start)
        observer.run_started(start, run.examples)
        try:
            outcome = vars(run.final(self._rounds(run, rounds))) | {"stopped": self._stopped(rounds)}
            path = self._finish("completed", outcome)
        except KeyboardInterrupt:
            self._leave("cancelled", "")
            raise
        except Exception as error:
            self._leave("failed", f"{type(error).__name__}: {error}")
            plugins.emit("fedbench_run_error", RunError(**self.about, error=str(error)))
            raise
        checkpoint.discard(self.checkpoints)
        return path

    def _leave(self, status: Status, error: str) -> None:
        """Leave a record of an attempt that did not complete; what ended it matters more than this."""
        try:
            self._finish(status, {"error": error})
        except Exception as problem:
            self.runner.observer.say(f"the {status} attempt leaves no record: {problem}")

    def _rounds(self, run: Run, rounds: int) -> RunState:
        """Every round that is still to do: measured, checkpointed, logged, announced; where the run ends."""
        plugins, observer, job = self.runner.catalog.plugins, self.runner.observer, self.job
        saved = checkpoint.load(self.checkpoints, job.run_id, self.runner.device, observer.say)
        self.executor = executor = run.executor(saved.executor if saved else None)
        where = {"device": device_name(self.runner.device), "threads": torch.get_num_threads()}
        if saved:
            began = {key: saved.executor.get(key) for key in where}
            if began != where:
                observer.say(f"this run began on {began} and goes on, on {where}: its last bits may differ")
            self.resumed = True
            self.started = saved.started
            self.begin -= saved.seconds
            self.entries = [RoundEntry.model_validate(entry) for entry in saved.entries]
            observer.say(f"taking up after round {saved.state.round}")
            seen = sum(entry.costs.client_examples for entry in self.entries)
            observer.tick(seen, torch.zeros(1))
        progress = ProgressCallbacks(tick=observer.tick, step=self._stepped)
        state = saved.state if saved else None
        for done in run.rounds(executor, state, progress):
            entry, state = done.entry, done.state
            dumped = [item.model_dump(mode="json") for item in (*self.entries, entry)]
            self.entries.append(entry)
            how = asdict(executor) | where  # a chunk shrinks when memory runs out
            checkpoint.save(
                self.checkpoints,
                checkpoint.Checkpoint(
                    run_id=job.run_id,
                    state=state,
                    entries=dumped,
                    executor=how,
                    started=self.started,
                    seconds=self._seconds(),
                ),
            )
            write_round_log(job.folder, self.entries)
            event = RoundEnd(**self.about, round=entry.round, rounds=rounds, entry=dumped[-1])
            plugins.emit("fedbench_round_end", event)
            observer.round_ended(event)
        assert state is not None, "a run begins with round 0"
        return state

    def _stepped(self, step: int, steps: int, figures: Mapping[str, float]) -> None:
        event = PolicyStep(**self.about, step=step, steps=steps, entry=figures)
        self.runner.catalog.plugins.emit("fedbench_policy_step", event)

    def _seconds(self) -> float:
        """Time taken, that of the earlier attempts this one goes on from included."""
        return time.perf_counter() - self.begin

    def _stopped(self, rounds: int) -> str:
        """The scenario's limits, if the next round would have exceeded one and the rounds ended early."""
        if self.entries[-1].round == rounds:
            return ""
        limits = self.job.scenario.budget.model_dump(exclude_none=True)
        return "budget: " + ", ".join(f"{limit} {name}" for name, limit in limits.items())

    def _finish(self, status: Status, outcome: Mapping[str, Any]) -> Path:
        job, device = self.job, self.runner.device
        evaluation = job.scenario.evaluation
        environment = describe() | {
            "device": device_name(device),
            "threads": torch.get_num_threads(),
            "executor": asdict(self.executor) if self.executor else {},
        }
        record = Record(
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
            primary=evaluation.primary,
            data=self.bench.info,
            rounds=self.entries,
            spread=Spread.of(self.entries[-1].clients) if self.entries else None,
            costs=reduce(Costs.__add__, (entry.costs for entry in self.entries), Costs()),
            peak_memory_bytes=_peak_memory(device),
            wall_seconds=self._seconds(),
            started=self.started,
            finished=datetime.now(UTC).isoformat(timespec="seconds"),
            resumed=self.resumed,
            environment=environment,
            command=list(self.runner.command),
            **outcome,
        ).sealed()
        write_round_log(job.folder, self.entries)
        path = write_record(job.folder, record)
        event = RunEnd(**self.about, status=status, record=path)
        self.runner.catalog.plugins.emit("fedbench_run_end", event)
        self.runner.observer.run_ended(event)
        return path


def _explained(error: Exception, job: Job) -> FedbenchError:
    if isinstance(error, OSError):
        return FedbenchError("can't read or write", where=error.filename or job.folder, why=error)
    return FedbenchError(
        f"method {job.method_entry.name!r} failed on {job.scenario.title}",
        why=f"{type(error).__name__}: {error}",
        fix="FEDBENCH_DEBUG=1 shows where",
    )


def _provider(entry: Entry[Any]) -> Provider:
    plugin = entry.plugin
    return Provider(distribution=plugin.distribution, version=plugin.version, plugin=plugin.name)


def _peak_memory(device: torch.device) -> int:
    if device.type == "cuda":
        return int(torch.cuda.max_memory_allocated(device))
    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit


def run_jobs(runner: Runner, jobs: Iterable[Job]) -> tuple[list[Path], list[FedbenchError]]:
    """Run every job that isn't done; a method that fails does not stop the others."""
    paths, failures = [], []
    for job in jobs:
        try:
            paths.append(runner.run(job))
        except UsageError:
            raise
        except FedbenchError as error:
            runner.observer.say(str(error))
            failures.append(error)
    return paths, failures
