"""From jobs to records: run what isn't done yet, keep what happened, whatever happens."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

import torch
from filelock import FileLock, Timeout

from fedbench.alignment import bench as alignment
from fedbench.api.specs import Track
from fedbench.attempt import CHECKPOINTS, Attempt
from fedbench.catalog import Catalog
from fedbench.data.features import FeatureCache
from fedbench.errors import FedbenchError, UsageError
from fedbench.federation import checkpoint
from fedbench.federation.executors import AskedExecutor
from fedbench.files import remove_partial
from fedbench.jobs import Job
from fedbench.models.saved import FOLDER
from fedbench.observers import Observer, Silent
from fedbench.preference import prepare as preference
from fedbench.process_state import preserved
from fedbench.resolution import ResolvedScenario
from fedbench.results.identity import changed_code, changed_content
from fedbench.results.store import TRACE
from fedbench.run_profile import RunProfile
from fedbench.run_record import identify
from fedbench.runs.evaluation import Diverged
from fedbench.runs.inputs import Inputs, load_inputs
from fedbench.runs.protocol import Bench

T = TypeVar("T")
Prepare = Callable[[Inputs, torch.device, Callable[[str], None]], Bench]
TRACKS: dict[Track, Prepare] = {"alignment": alignment.prepare, "preference": preference.prepare}
CHECKS: dict[Track, Callable[[Inputs], None]] = {
    "alignment": alignment.check,
    "preference": preference.check,
}


def choose_device(name: str) -> torch.device:
    """``auto``, ``cpu`` or ``cuda`` to a device; :class:`UsageError` if it isn't there."""
    available = torch.cuda.is_available()
    if name == "cuda" and not available:
        raise UsageError(
            "no CUDA device", why=f"torch {torch.__version__} sees none", fix="use --device cpu or auto"
        )
    return torch.device("cuda" if available and name != "cpu" else "cpu")


def prepare(inputs: Inputs, device: torch.device, say: Callable[[str], None]) -> Bench:
    """Prepare what all runs of a scenario share: its inputs and the image features."""
    return TRACKS[inputs.resolved.scenario.track](inputs, device, say)


def check_jobs(jobs: Iterable[Job], say: Callable[[str], None]) -> None:
    """Check all that can be known of ``jobs`` before round 0, and encode and train nothing.

    Every factory is called: data, partition and backbones are made and compared with their pins, the data is
    checked, metrics and methods are made, and the feature cache has to have the images or room for them.
    """
    planned = list(jobs)
    for job in {(job.method_entry.qualified, job.options.model_dump_json()): job for job in planned}.values():
        job.method_entry.create(job.options)
    for job in {job.resolved.key: job for job in planned}.values():
        inputs = load_inputs(job.resolved, say)
        CHECKS[job.scenario.track](inputs)
        FeatureCache.default().check(inputs.backbone.encoder, inputs.content.images)
        for part in job.resolved.reward_backbones.values():
            part.check_pin(part.make().fingerprint)


@dataclass
class Runner:
    """Runs jobs one after another, keeping each scenario's bench (data, features, LLM) resident."""

    catalog: Catalog
    """What is installed; its plugins hear of every event."""
    device: torch.device
    """Where everything is computed."""
    executor: AskedExecutor = "auto"
    """How many clients are trained at once."""
    observer: Observer = field(default_factory=Silent)
    """Follows the runs."""
    again: bool = False
    """Whether jobs that have a record are run again beside it."""
    threads: int | None = None
    """Threads of the CPU to compute with; as many as torch has when None."""
    profile: bool = False
    """Whether each run leaves a trace of where its time went beside its record."""
    save_model: bool = False
    """Whether each run's last model is left beside its record."""
    profiles: dict[Path, Mapping[str, float]] = field(default_factory=dict, init=False)
    """By record, of the runs made here if they are profiled: seconds by part."""
    reused: int = field(default=0, init=False)
    """Jobs so far whose record was there already."""
    _inputs: dict[str, Inputs] = field(default_factory=dict, init=False)
    _benches: dict[str, Bench] = field(default_factory=dict, init=False)

    def inputs(self, resolved: ResolvedScenario) -> Inputs:
        """The scenario's inputs, loaded on first use."""
        return self._kept(self._inputs, resolved, lambda: load_inputs(resolved, self.observer.say))

    def bench(self, resolved: ResolvedScenario) -> Bench:
        """The scenario's bench, prepared on first use."""
        inputs = self.inputs(resolved)
        return self._kept(self._benches, resolved, lambda: prepare(inputs, self.device, self.observer.say))

    def run(self, job: Job) -> Path:
        """Run one job, or take it up where it stopped; the path of its completed record.

        A record that is there already is used if it was made with the same code on the same content; else
        the job is run again, and the old record stays beside the new one.

        Once it has begun, on Ctrl-C a record with status ``cancelled`` is left and KeyboardInterrupt goes on;
        on any other error one with status ``failed``. Errors are :class:`FedbenchError`, what asks for what
        can't be :class:`RunRefused`.
        """
        with computing_with(self.threads):
            return self._run(job)

    def _run(self, job: Job) -> Path:
        if self.save_model and job.scenario.track != "alignment":
            raise RunRefused(
                "--save-model", why=f"scenario {job.scenario.title} is not of the alignment track"
            )
        if not self._is_done(job, self.observer.say):
            profile = RunProfile()
            method = f"method {job.method_entry.name!r} of plugin {job.method_entry.plugin.title}"
            with _refused(job), self._preserved(method):
                made = job.method_entry.create(job.options)  # before what takes long
            with self._preserved(f"scenario {job.scenario.title}"), profile.part("preparing"):
                bench = self.bench(job.resolved)
            with _taken(job.folder):
                # another process may have finished it meanwhile
                if not self._is_done(job, lambda line: None):
                    with _refused(job), self._preserved(method):
                        return self._attempt(job, bench, made, profile)
        self.reused += 1
        checkpoint.discard(job.folder / CHECKPOINTS)
        return job.record

    def _kept(self, kept: dict[str, T], resolved: ResolvedScenario, make: Callable[[], T]) -> T:
        """What belongs to the scenario, made unless it is that of the last one asked for."""
        if resolved.key not in kept:
            kept.clear()
            try:
                kept[resolved.key] = make()
            except FedbenchError:
                raise
            except Exception as error:
                raise FedbenchError(
                    f"scenario {resolved.scenario.title} can't be prepared",
                    why=f"{type(error).__name__}: {error}",
                    fix="FEDBENCH_DEBUG=1 shows where",
                ) from error
        return kept[resolved.key]

    def _is_done(self, job: Job, say: Callable[[str], None]) -> bool:
        """Whether the job has a record that may be used; says why not, if it has one that may not."""
        record = job.completed
        if record is None or self.again:
            return False
        if self.save_model and not (job.folder / FOLDER).is_dir():
            say(f"{job.record} has no model beside it; running it again")
            return False
        if record.identity is None:
            say(f"{job.record} doesn't say what code and data it is of; --again runs it anew")
            return True
        changed = changed_code(record.identity, job.code)
        if not changed:
            content = self.inputs(job.resolved).content
            changed = changed_content(record.identity, identify(job, content))
        if changed:
            say(f"{job.record} was made {changed}; running it again beside that")
        return not changed

    def _preserved(self, who: str) -> AbstractContextManager[None]:
        """Restore the process's state after ``who`` was at work, and say what it had changed."""
        return preserved(lambda state: self.observer.say(f"{who} changed {state}, which is restored"))

    def _attempt(self, job: Job, bench: Bench, method: Any, profile: RunProfile) -> Path:
        """Run the job under its lock."""
        remove_partial(job.folder)
        (job.folder / TRACE).unlink(missing_ok=True)  # it would be another run's
        attempt = Attempt(
            job,
            bench,
            device=self.device,
            plugins=self.catalog.plugins,
            observer=self.observer,
            profile=profile,
            save_model=self.save_model,
        )
        path = attempt.run(method, self.executor)
        if self.profile:
            self.profiles[path] = profile.seconds()
            profile.write(job.folder / TRACE)
        return path


@contextmanager
def computing_with(threads: int | None) -> Iterator[None]:
    """Compute with so many threads in the block; with torch's own number if None."""
    before = torch.get_num_threads()
    torch.set_num_threads(threads or before)
    try:
        yield
    finally:
        torch.set_num_threads(before)


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


@contextmanager
def _refused(job: Job) -> Iterator[None]:
    """Make what goes wrong with a run an error that leaves the others of a matrix alone."""
    try:
        yield
    except UsageError as error:
        raise RunRefused(str(error)) from error
    except FedbenchError:
        raise
    except Exception as error:
        raise _explained(error, job) from error


def _explained(error: Exception, job: Job) -> FedbenchError:
    if isinstance(error, OSError):
        return FedbenchError("can't read or write", where=error.filename or job.folder, why=error)
    if isinstance(error, Diverged):
        return FedbenchError(
            f"method {job.method_entry.name!r} with seed {job.seed} diverged on {job.scenario.title}",
            why=error,
            fix="lower its learning rate, or see what it makes of the clients' updates",
        )
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
