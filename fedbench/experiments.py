"""Running methods on scenarios as Python calls, which the command line is a skin over."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, get_args

from fedbench.catalog import Catalog
from fedbench.errors import UsageError, suggest
from fedbench.installed import installed_catalog
from fedbench.jobs import Job
from fedbench.matrix import MatrixRequest, MatrixResult, ScenarioLike
from fedbench.results.records import Record
from fedbench.results.store import read_record

if TYPE_CHECKING:
    from fedbench.runner import Runner

Device = Literal["auto", "cpu", "cuda"]
DEVICES: tuple[Device, ...] = get_args(Device)

OUTPUT = Path("runs")
"""Where records are written when no other folder is named."""


def run(
    method: str,
    scenario: ScenarioLike | None = None,
    /,
    *,
    seed: int = 0,
    changes: Mapping[str, Any] | None = None,
    output: str | Path = OUTPUT,
    device: Device = "auto",
    executor: str = "auto",
    threads: int | None = None,
    again: bool = False,
    progress: bool = True,
    catalog: Catalog | None = None,
    **options: Any,
) -> Record:
    """Run ``method`` on ``scenario``, or load the record if that run is done with this code and content.

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
        How many clients are trained at once: ``"auto"`` follows a rule from the scenario's numbers,
        ``"serial"`` takes one, ``"batched"`` the cohort, ``"batched:4"`` four, ``"fastest"`` times serial
        against batched first.
    threads
        Threads of the CPU to compute with; as many as torch has when absent.
    again
        Whether to run it even if its record is there; the old one stays as ``replaced-0001.json``.
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
    request = MatrixRequest.of(
        catalog,
        methods=method,
        scenarios=() if scenario is None else scenario,
        seeds=seed,
        options=options,
        changes=changes,
    )
    (job,) = request.plan(catalog, Path(output))
    runner = make_runner(
        catalog,
        device=device,
        executor=executor,
        threads=threads,
        again=again,
        progress=progress,
    )
    path = runner.run(job)
    if runner.reused:
        runner.observer.say(f"done already: {path}")
    return read_record(path)


def run_matrix(
    *,
    methods: str | Iterable[str],
    scenarios: ScenarioLike | Iterable[ScenarioLike] = (),
    seeds: int | Iterable[int] = 0,
    options: Mapping[str, Any] | None = None,
    changes: Mapping[str, Any] | None = None,
    output: str | Path = OUTPUT,
    device: Device = "auto",
    executor: str = "auto",
    threads: int | None = None,
    again: bool = False,
    profile: bool = False,
    save_model: bool = False,
    progress: bool = True,
    catalog: Catalog | None = None,
) -> MatrixResult:
    """Run every method on every scenario with every seed; what is done already is loaded instead.

    A run that fails does not stop the others. Calling this again finishes what is missing, and runs
    again what was made with other code or on other content.

    Parameters
    ----------
    methods, scenarios, seeds
        The matrix; the first method's usual scenario when none is named.
    options
        Method options; ``"method.key"`` goes to that method only, ``"key"`` to every method.
    profile
        Measure where each run's time goes (``profiles`` of the result), and leave a trace of it beside the
        record: ``trace.json``, for Perfetto. The run's bits stay the same.
    save_model
        Leave each run's last model beside its record: ``model/``, with adapters as peft has them.
    changes, output, device, executor, threads, again, progress, catalog
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
    request = MatrixRequest.of(
        catalog, methods=methods, scenarios=scenarios, seeds=seeds, options=options, changes=changes
    )
    jobs = request.plan(catalog, Path(output))
    runner = make_runner(
        catalog,
        device=device,
        executor=executor,
        threads=threads,
        again=again,
        profile=profile,
        save_model=save_model,
        progress=progress,
    )
    from fedbench.runner import run_jobs

    paths, failures = run_jobs(runner, jobs)
    if runner.reused:
        runner.observer.say(f"{runner.reused} of {len(jobs)} runs were done already")
    return MatrixResult(
        records=tuple(map(read_record, paths)),
        paths=tuple(paths),
        failures=tuple(failures),
        profiles=runner.profiles,
    )


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
    request = MatrixRequest.of(
        catalog, methods=methods, scenarios=scenarios, seeds=seeds, options=options, changes=changes
    )
    jobs = request.plan(catalog, Path(output))
    from fedbench.progress import note
    from fedbench.runner import check_jobs, choose_device

    choose_device(device)
    check_jobs(jobs, note)
    return jobs


def make_runner(
    catalog: Catalog,
    *,
    device: Device = "auto",
    executor: str = "auto",
    threads: int | None = None,
    again: bool = False,
    profile: bool = False,
    save_model: bool = False,
    progress: bool = True,
) -> Runner:
    """Make a runner that reports on stderr if ``progress``; :class:`UsageError` for an unknown name."""
    if device not in DEVICES:
        raise UsageError(f"unknown device {device!r}", fix=suggest(str(device), DEVICES))
    if threads is not None and threads < 1:
        raise UsageError(f"threads {threads}", why="at least one computes")
    from fedbench.federation.executors import asked_executor
    from fedbench.observers import Silent
    from fedbench.progress import Progress
    from fedbench.runner import Runner, choose_device

    return Runner(
        catalog=catalog,
        device=choose_device(device),
        executor=asked_executor(executor),
        threads=threads,
        observer=Progress() if progress else Silent(),
        again=again,
        profile=profile,
        save_model=save_model,
    )
