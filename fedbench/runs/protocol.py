"""What the runner needs of a track: a bench that its runs share, and a run that goes round by round."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Protocol

from fedbench.federation.executors import Executor, ExecutorName
from fedbench.federation.local import Tick, no_tick
from fedbench.federation.run_state import RunState
from fedbench.results.records import DataInfo, RoundEntry
from fedbench.runs.evaluation import FinalMeasures


@dataclass(frozen=True)
class ProgressCallbacks:
    """Called as a run goes on within a round: ``tick(examples, loss)`` with the examples since the last call
    and their loss; ``step(number, steps, figures)`` after a policy step, of so many in the whole run."""

    tick: Tick = no_tick
    step: Callable[[int, int, Mapping[str, float]], None] = lambda number, steps, figures: None


@dataclass(frozen=True)
class MeasuredRound:
    """A finished round as the record has it, and where the run stands after it."""

    entry: RoundEntry
    state: RunState


class Run(Protocol):
    """One method with one seed, round by round."""

    @property
    def examples(self) -> int:
        """Examples that the whole run trains on, for a progress bar."""
        ...

    def executor(self, saved: Mapping[str, object] | None) -> Executor:
        """The executor; a resumed run keeps the one it began with, so that its bits stay the same."""
        ...

    def rounds(
        self, executor: Executor, resume: RunState | None, progress: ProgressCallbacks
    ) -> Iterator[MeasuredRound]:
        """Round 0 (the untouched start) and all others, or those after ``resume``."""
        ...

    def final(self, state: RunState) -> FinalMeasures:
        """Measure the models of the run that ended in ``state``."""
        ...


class Bench(Protocol):
    """What every method and seed of a scenario shares; one lives per process and scenario."""

    @property
    def info(self) -> DataInfo:
        """Data, backbone and partition as a record names them."""
        ...

    def run(self, method: Any, seed: int, executor: ExecutorName) -> Run:
        """A run of a method as its plugin made it."""
        ...
