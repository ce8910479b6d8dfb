"""An attempt at a job: train, measure, checkpoint and announce every round, and leave a record at the end."""

from __future__ import annotations

import json
import shutil
import time
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch

from fedbench.api.events import PolicyStep, RoundEnd, RunEnd, RunError, RunStart
from fedbench.federation import checkpoint
from fedbench.federation.executors import AskedExecutor, Executor
from fedbench.federation.round_log import RoundLog
from fedbench.federation.run_state import RunState
from fedbench.jobs import Job
from fedbench.models.saved import FOLDER
from fedbench.observers import Observer
from fedbench.plugins import Plugins
from fedbench.results.identity import Identity, changed_code, changed_content
from fedbench.results.records import RoundEntry, Status
from fedbench.results.store import ROUND_LOG, write_record
from fedbench.run_profile import RunProfile
from fedbench.run_record import RunFacts, describe_place, identify, make_record
from fedbench.runs.clock import RunClock
from fedbench.runs.protocol import Bench, MeasuredRound, ProgressCallbacks, Run

CHECKPOINTS = "checkpoints"
"""The folder of a run's checkpoints, in the run's own."""


class Attempt:
    """One attempt at a job, from its newest checkpoint if it has one. The caller holds the job's lock."""

    def __init__(
        self,
        job: Job,
        bench: Bench,
        *,
        device: torch.device,
        plugins: Plugins,
        observer: Observer,
        profile: RunProfile,
        save_model: bool,
    ) -> None:
        self.job, self.bench, self.device = job, bench, device
        self.profile, self.save_model = profile, save_model
        self.identity = identify(job, bench.content)
        self.plugins, self.observer = plugins, observer
        self.checkpoints = job.folder / CHECKPOINTS
        self.clock = RunClock()
        self.entries: list[RoundEntry] = []
        self.log = RoundLog(job.folder / ROUND_LOG)
        self.resumed = False
        self.executor: Executor | None = None
        self.about: dict[str, Any] = {
            "scenario": job.scenario.title,
            "method": job.method_entry.name,
            "seed": job.seed,
        }
        if device.type == "cuda":  # the most that this run takes, not the one before it
            torch.cuda.reset_peak_memory_stats(device)

    def run(self, method: Any, executor: AskedExecutor) -> Path:
        """Run the job's ``method``, an aggregator or a fuser, to its end; the path of its completed record.

        On Ctrl-C a record with status ``cancelled`` is left, on any other error one with status ``failed``.
        """
        job, rounds = self.job, self.job.scenario.federation.rounds
        run = self.bench.run(method, job.seed, executor)
        start = RunStart(
            **self.about, rounds=rounds, primary=job.scenario.evaluation.primary, folder=job.folder
        )
        self.plugins.emit("fedbench_run_start", start)
        self.observer.run_started(start, run.examples)
        try:
            state = self._rounds(run)
            with self.profile.part("final suites"):
                final = run.final(state)
            ending = vars(final) | {"stopped": self._stopped(), "contract": run.contract}
            if self.save_model:
                shutil.rmtree(job.folder / FOLDER, ignore_errors=True)
                run.save(state, job.folder / FOLDER)
            path = self._finish("completed", ending)
        except KeyboardInterrupt:
            self._leave("cancelled", "")
            raise
        except Exception as error:
            self._leave("failed", f"{type(error).__name__}: {error}")
            self.plugins.emit("fedbench_run_error", RunError(**self.about, error=str(error)))
            raise
        checkpoint.discard(self.checkpoints)
        return path

    def _rounds(self, run: Run) -> RunState:
        """Run every round that is still to do; where the run ends."""
        saved = self._saved()
        self.executor = run.executor(saved.executor if saved else None)
        if saved:
            self._take_up(saved)
        state = saved.state if saved else None
        progress = ProgressCallbacks(tick=self.observer.tick, step=self._stepped)
        began = time.perf_counter()
        for done in run.rounds(self.executor, state, progress):
            state = done.state
            self.profile.round(done.entry.round, done.entry.costs, began)
            self._keep(done)
            began = time.perf_counter()
        assert state is not None, "a run begins with round 0"
        return state

    def _saved(self) -> checkpoint.Checkpoint | None:
        """The newest checkpoint, unless code or content have changed since."""
        saved = checkpoint.load(
            self.checkpoints,
            self.job.run_id,
            log=self.log.path,
            device=self.device,
            warn=self.observer.say,
        )
        if saved:
            old = Identity.model_validate(saved.identity)
            if changed := changed_code(old, self.identity) or changed_content(old, self.identity):
                self.observer.say(f"{self.job.folder} was begun {changed}; starting over")
                checkpoint.discard(self.checkpoints)
                return None
        return saved

    def _take_up(self, saved: checkpoint.Checkpoint) -> None:
        """Go on from a checkpoint: its rounds, its start, its time."""
        here = describe_place(self.device)
        began = {key: saved.executor.get(key) for key in here}
        if began != here:
            self.observer.say(f"this run began on {began} and goes on, on {here}: its last bits may differ")
        self.resumed = True
        self.clock.go_on(saved.started, saved.seconds)
        self.entries = [RoundEntry.model_validate_json(line) for line in self.log.go_on(saved.log)]
        self.observer.say(f"taking up after round {saved.state.round}")
        self.observer.tick(sum(entry.costs.client_examples for entry in self.entries), torch.zeros(1))

    def _keep(self, done: MeasuredRound) -> None:
        """Log a finished round, then checkpoint and announce it."""
        assert self.executor
        self.entries.append(done.entry)
        entry = done.entry.model_dump(mode="json")
        with self.profile.part("checkpoints and logs"):
            self.log.append(json.dumps(entry, separators=(",", ":"), allow_nan=False))
            checkpoint.save(
                self.checkpoints,
                checkpoint.Checkpoint(
                    run_id=self.job.run_id,
                    identity=self.identity.model_dump(mode="json"),
                    state=done.state,
                    log=self.log.mark,
                    # as it is now: a chunk shrinks when memory runs out
                    executor=asdict(self.executor) | describe_place(self.device),
                    started=self.clock.started,
                    seconds=self.clock.seconds(),
                ),
            )
        rounds = self.job.scenario.federation.rounds
        # the entry is the observers' own: what they do to it is in no record
        event = RoundEnd(**self.about, round=done.entry.round, rounds=rounds, entry=entry)
        self.plugins.emit("fedbench_round_end", event)
        self.observer.round_ended(event)

    def _stepped(self, step: int, steps: int, figures: Mapping[str, float]) -> None:
        event = PolicyStep(**self.about, step=step, steps=steps, entry=figures)
        self.plugins.emit("fedbench_policy_step", event)

    def _stopped(self) -> str:
        """The scenario's limits, if the next round would have exceeded one and the rounds ended early."""
        scenario = self.job.scenario
        if self.entries[-1].round == scenario.federation.rounds:
            return ""
        limits = scenario.budget.model_dump(exclude_none=True)
        return "budget: " + ", ".join(f"{limit} {name}" for name, limit in limits.items())

    def _leave(self, status: Status, error: str) -> None:
        """Leave a record of an attempt that did not complete; what ended it matters more than this."""
        try:
            self._finish(status, {"error": error})
        except Exception as problem:
            self.observer.say(f"the {status} attempt leaves no record: {problem}")

    def _finish(self, status: Status, ending: Mapping[str, Any]) -> Path:
        """Write the record and announce it; its path."""
        facts = RunFacts(
            data=self.bench.info,
            identity=self.identity,
            rounds=self.entries,
            executor=self.executor,
            started=self.clock.started,
            finished=self.clock.finished(),
            seconds=self.clock.seconds(),
            resumed=self.resumed,
        )
        with self.profile.part("checkpoints and logs"):
            record = make_record(self.job, facts, status=status, ending=ending, device=self.device)
            path = write_record(self.job.folder, record, replace=True)
        event = RunEnd(**self.about, status=status, record=path)
        self.plugins.emit("fedbench_run_end", event)
        self.observer.run_ended(event)
        return path
