"""The fedbench command in processes of their own that start in milliseconds, say where they are, and can be
made to die anywhere.

One server process imports everything, prepares the benches, and forks for each attempt; it never trains.
"""

from __future__ import annotations

import multiprocessing
import os
import resource
import signal
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from functools import wraps
from importlib import import_module
from itertools import count
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

from fedbench.environment import describe
from fedbench.results.store import ROUND_LOG

PHASES = {
    "prepare": ("fedbench.runner", "prepare"),
    "train": ("fedbench.federation.executors", "Executor.train"),
    "aggregate": ("fedbench.federation.gathering", "Gathering.merge"),
    "evaluate": ("fedbench.runs.evaluation", "RunEvaluator.measured"),
    "checkpoint": ("fedbench.federation.checkpoint", "save"),
    "log": ("fedbench.federation.round_log", "RoundLog.append"),
    "final": ("fedbench.runs.evaluation", "RunEvaluator.final"),
    "record": ("fedbench.attempt", "write_record"),
    "discard": ("fedbench.federation.checkpoint", "discard"),
}
"""The phases of a run, each with the function that it begins with."""

POLICY_PHASES = {
    "fit": ("fedbench.preference.reward_cache", "RewardModelCache.get"),
    "write reward models": ("fedbench.preference.reward_cache", "_write"),
    "step": ("fedbench.preference.grpo_run", "GRPORun._step"),
    "update": ("fedbench.preference.policy_trainer", "PolicyTrainer._descend"),
}
"""Those that a run of the preference track has besides."""

CHANGES = {"open", "os.truncate", "os.rename", "os.remove", "os.mkdir", "os.rmdir", "shutil.rmtree"}
"""Audit events raised before a file is changed. Between two of them it doesn't matter when a kill comes."""

NOT_ATOMIC = 99
ROOM = 4000


@dataclass(frozen=True)
class Asked:
    """An attempt: the arguments of ``fedbench``, the file for what it says, and how it dies by itself.

    ``dies_before``: kill -9 before the n-th change of a file below ``folder``. ``tears``: in the n-th phase
    of this name no file can grow beyond ROOM bytes, which ends the process, or is an error if ``full``.
    ``cache``: a folder of its own for what is fitted once.
    """

    arguments: tuple[str, ...]
    said: Path
    folder: Path
    prepared: bool = True
    cache: Path | None = None
    dies_before: int | None = None
    tears: tuple[str, int] | None = None
    full: bool = False


@dataclass
class Attempt:
    """A process at work on what was asked."""

    pid: int
    asked: Asked
    _phases: Connection
    _wait: Callable[[int], int]
    phase: str = "start"

    def phases(self) -> Iterator[str]:
        """The phases as it enters them, until it ends."""
        with suppress(EOFError):
            while True:
                self.phase = self._phases.recv_bytes().decode()
                yield self.phase

    def reaches(self, phase: str, nth: int = 1) -> bool:
        """Wait for its ``nth`` phase of this name; False if it ends before."""
        return any(entered == phase and not (nth := nth - 1) for entered in self.phases())

    def kill(self) -> None:
        os.kill(self.pid, signal.SIGKILL)

    def stop(self) -> None:
        os.kill(self.pid, signal.SIGSTOP)

    def go_on(self) -> None:
        os.kill(self.pid, signal.SIGCONT)

    def end(self) -> int:
        """Wait; its exit code, or minus the signal it died of."""
        for _ in self.phases():
            pass
        return self._wait(self.pid)

    @property
    def said(self) -> str:
        return self.asked.said.read_text(encoding="utf-8")


class Attempts:
    """Starts attempts. ``prepared`` are the changes of ``scenario`` whose benches they find prepared."""

    def __init__(self, scenario: str, prepared: list[Mapping[str, Any]]) -> None:
        context = multiprocessing.get_context("spawn")
        self.server, theirs = context.Pipe()
        self.process = context.Process(target=serve, args=(theirs, scenario, prepared), daemon=True)
        self.process.start()
        theirs.close()

    def start(self, asked: Asked) -> Attempt:
        phases, theirs = multiprocessing.Pipe(duplex=False)
        pid = self._ask((asked, theirs))
        theirs.close()
        return Attempt(pid, asked, phases, self._ask)

    def _ask(self, what: object) -> int:
        self.server.send(what)
        return int(self.server.recv())

    def close(self) -> None:
        self.server.close()
        self.process.join()


def serve(requests: Connection, scenario: str, prepared: list[Mapping[str, Any]]) -> None:
    """Fork a process for each attempt asked for and say its number; asked for a number, say how it ended."""
    benches, environment = _benches(scenario, prepared), describe()
    while True:
        try:
            request = requests.recv()
        except EOFError:
            return
        if isinstance(request, int):
            requests.send(os.waitstatus_to_exitcode(os.waitpid(request, 0)[1]))
            continue
        asked, phases = request
        if not (pid := os.fork()):
            requests.close()
            _command(asked, phases, benches if asked.prepared else {}, environment)
        phases.close()
        requests.send(pid)


def _benches(scenario: str, prepared: list[Mapping[str, Any]]) -> dict[str, Any]:
    import torch

    from fedbench.catalog import Catalog
    from fedbench.jobs import plan_jobs
    from fedbench.plugins import Plugins
    from fedbench.runner import prepare
    from fedbench.runs.inputs import load_inputs

    catalog, benches = Catalog(Plugins()), {}
    for changes in prepared:
        (job,) = plan_jobs(
            catalog,
            methods=["start"],
            scenarios=[scenario],
            seeds=[0],
            options={},
            changes=changes,
            output=Path("nowhere"),
        )
        inputs = load_inputs(job.resolved)
        bench = prepare(inputs, torch.device("cpu"), print)
        for suite in job.scenario.evaluation.each_round:  # what the first use of a suite computes is kept
            bench.evaluator.rows(torch.zeros(bench.info.parameters), suite)
        benches[job.scenario.fingerprint] = inputs, bench
    return benches


def _command(
    asked: Asked, phases: Connection, benches: Mapping[str, Any], environment: dict[str, Any]
) -> None:
    """The command, in the process forked for it; it does not return."""
    if asked.cache:
        os.environ["FEDBENCH_CACHE"] = str(asked.cache)
    file = os.open(asked.said, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
    os.dup2(file, 1)
    os.dup2(file, 2)
    import fedbench.run_record
    import fedbench.runner
    from fedbench.cli.main import main

    load_inputs, prepare = fedbench.runner.load_inputs, fedbench.runner.prepare

    def loaded(resolved: Any, *rest: Any) -> Any:
        ready = benches.get(resolved.scenario.fingerprint)
        return ready[0] if ready else load_inputs(resolved, *rest)

    def prepared(inputs: Any, *rest: Any) -> Any:
        ready = benches.get(inputs.resolved.scenario.fingerprint)
        return ready[1] if ready else prepare(inputs, *rest)

    fedbench.runner.load_inputs, fedbench.runner.prepare = loaded, prepared
    fedbench.run_record.describe = lambda: environment  # someone may commit while the tests run
    entered: list[str] = []

    def enter(phase: str) -> None:
        entered.append(phase)
        if asked.tears == (phase, entered.count(phase)):
            if not asked.full:
                signal.signal(signal.SIGXFSZ, signal.SIG_DFL)
            resource.setrlimit(resource.RLIMIT_FSIZE, (ROOM, resource.RLIM_INFINITY))
        phases.send_bytes(phase.encode())

    for phase, (module, name) in (PHASES | POLICY_PHASES).items():
        _announce(import_module(module), name, phase, enter)
    if asked.dies_before is not None:
        sys.addaudithook(_dying(asked.folder, asked.dies_before))
    sys.argv = ["fedbench", *asked.arguments]
    code = 70
    try:
        main()
    except SystemExit as exit:
        code = int(exit.code or 0)
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)


def _announce(owner: Any, name: str, phase: str, enter: Callable[[str], None]) -> None:
    """Make function ``name`` of ``owner`` say so when it is called."""
    if "." in name:
        outer, name = name.split(".")
        owner = getattr(owner, outer)
    function = getattr(owner, name)

    @wraps(function)
    def announced(*args: Any, **kwargs: Any) -> Any:
        enter(phase)
        return function(*args, **kwargs)

    setattr(owner, name, announced)


def _dying(folder: Path, before: int) -> Callable[[str, tuple[Any, ...]], None]:
    """An audit hook that kills the process before change number ``before`` below ``folder``, and ends it with
    NOT_ATOMIC when it opens a file for writing that readers can see; the round log may be appended to."""
    inside, changes = str(folder.resolve()), count(1)

    def hook(event: str, args: tuple[Any, ...]) -> None:
        if event not in CHANGES or not isinstance(args[0], str | os.PathLike):
            return
        path = Path(args[0])
        if event == "open":
            if not args[2] & (os.O_WRONLY | os.O_RDWR) or not path.is_relative_to(inside):
                return
            appended = path.name == ROUND_LOG and args[2] & os.O_APPEND
            if not appended and not path.name.endswith((".part", ".lock")):
                os._exit(NOT_ATOMIC)
        elif path.is_absolute() and not path.is_relative_to(inside):
            return  # shutil.rmtree names files relative to an open folder
        elif event == "os.remove" and path.is_absolute() and not path.exists():
            return
        if next(changes) == before:
            os.kill(os.getpid(), signal.SIGKILL)

    return hook
