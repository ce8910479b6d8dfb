"""From jobs to records: run what isn't done yet, keep what happened, whatever happens."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import torch
from filelock import FileLock, Timeout

from fedbench.alignment import bench as alignment
from fedbench.api.specs import Track
from fedbench.attempt import CHECKPOINTS, Attempt
from fedbench.catalog import Catalog
from fedbench.errors import FedbenchError, UsageError
from fedbench.federation import checkpoint
from fedbench.federation.executor_choice import ExecutorName
from fedbench.federation.executors import Executor
from fedbench.files import remove_partial
from fedbench.jobs import Job
from fedbench.observers import Observer, Silent
from fedbench.preference import prepare as preference
from fedbench.resolution import ResolvedScenario
from fedbench.runs.protocol import Bench

Prepare = Callable[[ResolvedScenario, torch.device, Callable[[str], None]], Bench]
TRACKS: dict[Track, Prepare] = {"alignment": alignment.prepare, "preference": preference.prepare}


def choose_device(name: str) -> torch.device:
    """``auto``, ``cpu`` or ``cuda`` to a device; :class:`UsageError` if it isn't there."""
    available = torch.cuda.is_available()
    if name == "cuda" and not available:
        raise UsageError(
            "no CUDA device", why=f"torch {torch.__version__} sees none", fix="use --device cpu or auto"
        )
    return torch.device("cuda" if available and name != "cpu" else "cpu")


def prepare(resolved: ResolvedScenario, device: torch.device, say: Callable[[str], None]) -> Bench:
    """Prepare what all runs of a scenario share: data, partition, backbone and image features."""
    return TRACKS[resolved.scenario.track](resolved, device, say)


@dataclass
class Runner:
    """Runs jobs one after another, keeping each scenario's bench (data, features, LLM) resident."""

    catalog: Catalog
    """What is installed; its plugins hear of every event."""
    device: torch.device
    """Where everything is computed."""
    executor: ExecutorName = "auto"
    """How many clients are trained at once."""
    observer: Observer = field(default_factory=Silent)
    """Follows the runs."""
    command: Sequence[str] = ()
    """What the records say made them."""
    _benches: dict[str, Bench] = field(default_factory=dict)

    def bench(self, resolved: ResolvedScenario) -> Bench:
        """The scenario's bench, prepared on first use."""
        scenario = resolved.scenario
        if scenario.fingerprint not in self._benches:
            self._benches.clear()
            try:
                bench = prepare(resolved, self.device, self.observer.say)
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

    def run(self, job: Job, executor: Executor | None = None) -> Path:
        """Run one job, or take it up where it stopped; the path of its completed record.

        ``executor``: one to train with, such as a record's, instead of the runner's choice.
        Once it has begun, on Ctrl-C a record with status ``cancelled`` is left and KeyboardInterrupt goes on;
        on any other error one with status ``failed``. Errors are :class:`FedbenchError`, what asks for what
        can't be :class:`RunRefused`.
        """
        if not job.done:
            bench = self.bench(job.resolved)
            with _taken(job.folder):
                if not job.done:  # another process may have finished it meanwhile
                    remove_partial(job.folder)
                    try:
                        return self._attempt(job, bench, executor)
                    except UsageError as error:
                        raise RunRefused(str(error)) from error
                    except FedbenchError:
                        raise
                    except Exception as error:
                        raise _explained(error, job) from error
        checkpoint.discard(job.folder / CHECKPOINTS)
        return job.record

    def _attempt(self, job: Job, bench: Bench, executor: Executor | None) -> Path:
        attempt = Attempt(
            job,
            bench,
            device=self.device,
            plugins=self.catalog.plugins,
            observer=self.observer,
            command=self.command,
        )
        return attempt.run(executor or self.executor)


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


def _explained(error: Exception, job: Job) -> FedbenchError:
    if isinstance(error, OSError):
        return FedbenchError("can't read or write", where=error.filename or job.folder, why=error)
    return FedbenchError(
        f"method {job.method_entry.name!r} failed on {job.scenario.title}",
        why=f"{type(error).__name__}: {error}",
        fix="FEDBENCH_DEBUG=1 shows where",
    )


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
