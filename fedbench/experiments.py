"""Experiments as Python calls: run a method, run a matrix, load and compare records.

The command line is a skin over these calls. Only those that train import torch.
"""

from __future__ import annotations

import json
import operator
import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, get_args, overload

from fedbench.api.options import format_value
from fedbench.api.scenario import Scenario, load_scenario
from fedbench.catalog import Catalog
from fedbench.errors import FedbenchError, UsageError, suggest
from fedbench.jobs import Job, plan_jobs
from fedbench.leaderboard.contest import installed_methods
from fedbench.plugins import Plugins
from fedbench.results.comparison_table import Comparison, compare_sources
from fedbench.results.records import Record
from fedbench.results.sources import Source, gather
from fedbench.results.store import RECORDS, find_records, read_record

if TYPE_CHECKING:
    from fedbench.runner import Runner

ScenarioLike = str | Path | Scenario
"""A scenario's name, the path of its ``.toml`` file, or the scenario itself."""

Device = Literal["auto", "cpu", "cuda"]
ExecutorName = Literal["auto", "serial", "batched"]
DEVICES: tuple[Device, ...] = get_args(Device)
EXECUTORS: tuple[ExecutorName, ...] = get_args(ExecutorName)

OUTPUT = Path("runs")
"""Where records are written when no other folder is named."""

USUAL = {"alignment": "emoji-ii", "preference": "prefs-emoji-tasks"}
"""The scenario that is run when none is named, by the first method's track."""


@dataclass(frozen=True)
class MatrixResult(Sequence[Record]):
    """The completed records of a matrix, in its order; a sequence of :class:`Record`.

    >>> import fedbench
    >>> fedbench.MatrixResult(records=(), paths=())
    <MatrixResult: 0 records>
    """

    records: tuple[Record, ...]
    """One for each run that is completed, whether it was run now or before."""

    paths: tuple[Path, ...]
    """The files of ``records``, in the same order."""

    failures: tuple[FedbenchError, ...] = ()
    """What ended the other runs; each was reported when it happened."""

    @overload
    def __getitem__(self, index: int) -> Record: ...
    @overload
    def __getitem__(self, index: slice) -> Sequence[Record]: ...
    def __getitem__(self, index: int | slice) -> Record | Sequence[Record]:
        """The record (or records) at ``index``."""
        return self.records[index]

    def __len__(self) -> int:
        """How many runs are completed."""
        return len(self.records)

    def __repr__(self) -> str:
        """Count what was run instead of printing every record."""
        failed = f", {len(self.failures)} failed: {self.failures[0]}" if self.failures else ""
        return f"<MatrixResult: {len(self)} records{failed}>"


def run(
    method: str,
    scenario: ScenarioLike | None = None,
    /,
    *,
    seed: int = 0,
    changes: Mapping[str, Any] | None = None,
    output: str | Path = OUTPUT,
    device: Device = "auto",
    executor: ExecutorName = "auto",
    progress: bool = True,
    catalog: Catalog | None = None,
    **options: Any,
) -> Record:
    """Run ``method`` on ``scenario``, or load the record if that run is done.

    As with ``fedbench run``, a run that was stopped is taken up after its last complete round, and the
    record lies in ``output`` as ``scenario@version/method/seed-N/record.json``.

    Parameters
    ----------
    method
        The method's name, or ``provider/name``.
    scenario
        A name, the path of a ``.toml`` file or a :class:`Scenario`; the track's usual scenario when absent.
    seed
        A whole number from 0; everything random is drawn from it.
    changes
        Values of the scenario to change, by dotted path (``{"training.lr": 3e-4}``); marks the record.
    output
        The folder for records and checkpoints.
    device
        ``"auto"`` takes a CUDA device if there is one.
    executor
        Where the clients' work runs: one client at a time, batched, or what is faster.
    progress
        Whether a bar and lines on stderr say how the run goes.
    catalog
        What is installed; every plugin that is not blocked when absent.
    **options
        The method's options; their defaults where absent.

    Raises
    ------
    UsageError
        An unknown name or a bad value, before anything is loaded.
    FedbenchError
        The run failed; a record with status ``failed`` says why.

    Examples
    --------
    >>> import fedbench
    >>> record = fedbench.run("fed-cmp", "emoji-ii", rank=16)  # doctest: +SKIP
    >>> fedbench.run("fedprox", "emoji-ii", nu=1)
    Traceback (most recent call last):
    fedbench.errors.UsageError: method 'fedprox' has no option 'nu' — its options are: mu
    """
    catalog = catalog or installed_catalog()
    request = _request(
        catalog,
        methods=method,
        scenarios=() if scenario is None else scenario,
        seeds=seed,
        options=options,
        changes=changes,
    )
    (job,) = request.plan(catalog, Path(output))
    runner = _runner(catalog, device, executor, progress, request.command(device, executor))
    if job.done:
        runner.observer.say(f"done already: {job.record}")
    return read_record(runner.run(job))


def run_matrix(
    *,
    methods: str | Iterable[str],
    scenarios: ScenarioLike | Iterable[ScenarioLike] = (),
    seeds: int | Iterable[int] = 0,
    options: Mapping[str, Any] | None = None,
    changes: Mapping[str, Any] | None = None,
    output: str | Path = OUTPUT,
    device: Device = "auto",
    executor: ExecutorName = "auto",
    progress: bool = True,
    catalog: Catalog | None = None,
    command: Sequence[str] = (),
) -> MatrixResult:
    """Run every method on every scenario with every seed; what is done already is loaded instead.

    A run that fails does not stop the others. Calling this again finishes what is missing.

    Parameters
    ----------
    methods, scenarios, seeds
        The matrix; the first method's usual scenario when none is named.
    options
        Method options; ``"method.key"`` goes to that method only, ``"key"`` to every method.
    command
        What the records say made them; the equivalent ``fedbench run`` when absent.
    changes, output, device, executor, progress, catalog
        As :func:`run` takes them.

    Raises
    ------
    UsageError
        An unknown name or a bad value, before anything is loaded.

    Examples
    --------
    >>> import fedbench
    >>> runs = fedbench.run_matrix(methods=["fedavg", "fed-cmp"], seeds=range(3))  # doctest: +SKIP
    >>> fedbench.run_matrix(methods=["fedavg"], seeds=[-1])
    Traceback (most recent call last):
    fedbench.errors.UsageError: seed -1: seeds are whole numbers from 0
    """
    catalog = catalog or installed_catalog()
    request = _request(
        catalog, methods=methods, scenarios=scenarios, seeds=seeds, options=options, changes=changes
    )
    jobs = request.plan(catalog, Path(output))
    runner = _runner(catalog, device, executor, progress, command or request.command(device, executor))
    if done := sum(job.done for job in jobs):
        runner.observer.say(f"{done} of {len(jobs)} runs are done already")
    from fedbench.runner import run_jobs

    paths, failures = run_jobs(runner, jobs)
    return MatrixResult(records=tuple(map(read_record, paths)), paths=tuple(paths), failures=tuple(failures))


def plan_matrix(
    *,
    methods: str | Iterable[str],
    scenarios: ScenarioLike | Iterable[ScenarioLike] = (),
    seeds: int | Iterable[int] = 0,
    options: Mapping[str, Any] | None = None,
    changes: Mapping[str, Any] | None = None,
    output: str | Path = OUTPUT,
    device: Device = "auto",
    catalog: Catalog | None = None,
) -> list[Job]:
    """Check what :func:`run_matrix` is asked for with the same arguments; the runs it would make."""
    catalog = catalog or installed_catalog()
    request = _request(
        catalog, methods=methods, scenarios=scenarios, seeds=seeds, options=options, changes=changes
    )
    jobs = request.plan(catalog, Path(output))
    from fedbench.runner import choose_device

    choose_device(device)
    return jobs


def load(path: str | Path) -> Record:
    """Read and check one record: a file, or a folder that holds a single completed one.

    Raises
    ------
    UsageError
        There is no record, more than one, or it is damaged.

    Examples
    --------
    >>> import fedbench
    >>> record = fedbench.load("runs/emoji-ii@2/fed-cmp/seed-0")  # doctest: +SKIP
    >>> fedbench.load("nothing.json")
    Traceback (most recent call last):
    fedbench.errors.UsageError: can't read the record in nothing.json: No such file or directory
    """
    files = find_records([Path(path)])
    if len(files) > 1:
        raise UsageError(f"{len(files)} records", where=path, fix="load_all reads all of them")
    return read_record(files[0])


def load_all(*paths: str | Path) -> list[Record]:
    """Read every record named; a folder stands for all completed records below it.

    Examples
    --------
    >>> import fedbench
    >>> fedbench.load_all()
    []
    """
    return [read_record(file) for file in find_records(map(Path, paths))]


def compare(
    what: Source | Iterable[Source],
    *,
    against: Source | None = None,
    metric: str | None = None,
    target: float | None = None,
    fail_on: str | Sequence[str] = (),
    records: str | Path = RECORDS,
    catalog: Catalog | None = None,
) -> Comparison:
    """Compare records: means over seeds, and differences paired by seed with 95 % intervals.

    Parameters
    ----------
    what
        Records, what :func:`run_matrix` gave, record files, folders of them, or methods by name.
    against
        What the others are held against; the first of several when absent.
    metric
        ``split/suite/value``; the scenario's primary metric when absent.
    target
        The value to reach; halfway from start to ceiling when absent.
    fail_on
        Bounds on changes against the reference, such as ``"accuracy:-1%"``; the result's ``broken`` says
        which are exceeded.
    records
        Where methods that are named are looked up.
    catalog
        What is installed, for the methods' default options; everything when absent.

    Raises
    ------
    UsageError
        A name that leads nowhere, no completed record, or nothing in common with the reference.

    Examples
    --------
    >>> import fedbench
    >>> runs = fedbench.run_matrix(methods=["fedavg", "fed-cmp"], seeds=range(3))  # doctest: +SKIP
    >>> fedbench.compare(runs, against="fedavg").to_frame()[["method", "mean"]]  # doctest: +SKIP
    >>> fedbench.compare([])
    Traceback (most recent call last):
    fedbench.errors.UsageError: there is no completed record to compare
    """
    installed = installed_methods(catalog or installed_catalog())
    return compare_sources(
        gather(what, against, Path(records)),
        metric=metric,
        target=target,
        fail_on=[fail_on] if isinstance(fail_on, str) else fail_on,
        defaults={key: method.defaults for key, method in installed.items()},
    )


def validate(path: str | Path, *, catalog: Catalog | None = None) -> None:
    """Check a scenario file (``.toml``) or a record (``.json``): its form, its names, its hashes.

    Raises
    ------
    UsageError
        What is wrong with it. Nothing in it is run.

    Examples
    --------
    >>> import fedbench
    >>> fedbench.validate("notes.txt")
    Traceback (most recent call last):
    fedbench.errors.UsageError: neither a scenario (.toml) nor a record (.json) in notes.txt
    """
    path = Path(path)
    if path.suffix == ".toml":
        (catalog or installed_catalog()).resolve(load_scenario(path))
    elif path.suffix == ".json":
        record = read_record(path)
        if record.record_id != record.sealed().record_id:
            raise UsageError(
                "the record was changed after it was written", where=path, why="record_id does not match"
            )
    else:
        raise UsageError("neither a scenario (.toml) nor a record (.json)", where=path)


def installed_catalog() -> Catalog:
    """Everything that the installed plugins register; one that is broken is named on stderr and left out."""
    from fedbench.progress import note

    return Catalog(Plugins(warn=note))


@dataclass(frozen=True)
class _Request:
    """A matrix as it was asked for, before its names are looked up."""

    methods: tuple[str, ...]
    scenarios: tuple[ScenarioLike, ...]
    seeds: tuple[int, ...]
    options: Mapping[str, Any]
    changes: Mapping[str, Any]

    def plan(self, catalog: Catalog, output: Path) -> list[Job]:
        """The jobs, with every name and value checked and the output folder writable."""
        jobs = plan_jobs(
            catalog,
            methods=self.methods,
            scenarios=self.scenarios,
            seeds=self.seeds,
            options=self.options,
            changes=self.changes,
            output=output,
        )
        _check_writable(output)
        return jobs

    def command(self, device: Device, executor: ExecutorName) -> list[str]:
        """The ``fedbench run`` that asks for the same."""
        words = [word for method in self.methods for word in ("-m", method)]
        changes = dict(self.changes)
        for scenario in self.scenarios:
            words += ["-s", scenario.name if isinstance(scenario, Scenario) else str(scenario)]
            changes |= scenario.changes if isinstance(scenario, Scenario) else {}
        words += ["--seeds", ",".join(map(str, self.seeds))]
        words += [word for key, value in self.options.items() for word in ("-o", f"{key}={_text(value)}")]
        words += [word for key, value in changes.items() for word in ("--set", f"{key}={_text(value)}")]
        return ["fedbench", "run", *words, "--device", device, "--executor", executor]


def _request(
    catalog: Catalog,
    *,
    methods: str | Iterable[str],
    scenarios: ScenarioLike | Iterable[ScenarioLike],
    seeds: int | Iterable[int],
    options: Mapping[str, Any] | None,
    changes: Mapping[str, Any] | None,
) -> _Request:
    named = (methods,) if isinstance(methods, str) else tuple(methods)
    wanted = (scenarios,) if isinstance(scenarios, str | Path | Scenario) else tuple(scenarios)
    return _Request(
        methods=named,
        scenarios=wanted or _usual_scenario(catalog, named),
        seeds=tuple(map(_seed, seeds if isinstance(seeds, Iterable) else (seeds,))),
        options=options or {},
        changes=changes or {},
    )


def _usual_scenario(catalog: Catalog, methods: Sequence[str]) -> tuple[str, ...]:
    tracks = [catalog.methods[name].spec.track for name in methods]
    return (next((USUAL[track] for track in tracks if track in USUAL), USUAL["alignment"]),)


def _seed(value: int) -> int:
    """A seed as a Python integer, whatever kind of integer it is given as."""
    try:
        seed = operator.index(value)
    except TypeError:
        seed = -1
    if seed < 0:
        raise UsageError(f"seed {value!r}", why="seeds are whole numbers from 0")
    return seed


def _text(value: Any) -> str:
    """An option's value as the command line takes it."""
    return format_value(json.loads(json.dumps(value, default=str)))


def _check_writable(output: Path) -> None:
    """Refuse an output folder that can't be made or written, before anything is loaded."""
    nearest = next(folder for folder in (output, *output.absolute().parents) if os.access(folder, os.F_OK))
    if not nearest.is_dir() or not os.access(nearest, os.W_OK):
        why = "it is not a folder" if not nearest.is_dir() else "no permission"
        raise UsageError(
            "can't write the output folder", where=nearest, why=why, fix="choose another --output"
        )


def _runner(
    catalog: Catalog, device: Device, executor: ExecutorName, progress: bool, command: Sequence[str]
) -> Runner:
    for what, name, names in (("device", device, DEVICES), ("executor", executor, EXECUTORS)):
        if name not in names:
            raise UsageError(f"unknown {what} {name!r}", fix=suggest(str(name), names))
    from fedbench.observers import Silent
    from fedbench.progress import Progress
    from fedbench.runner import Runner, choose_device

    return Runner(
        catalog=catalog,
        device=choose_device(device),
        executor=executor,
        observer=Progress() if progress else Silent(),
        command=command,
    )
