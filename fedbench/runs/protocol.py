"""The protocol between runner and track: a bench that runs share, and a run that goes round by round."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from fedbench.federation.executors import AskedExecutor, Executor
from fedbench.federation.local import Tick, no_tick
from fedbench.federation.run_state import RunState
from fedbench.results.records import Contract, DataInfo, RoundEntry
from fedbench.runs.evaluation import FinalMeasures
from fedbench.runs.inputs import ContentHashes


@dataclass(frozen=True)
class ProgressCallbacks:
    """Functions that a run calls within a round."""

    tick: Tick = no_tick
    """``tick(examples, loss)``: the examples trained on since the last call, and their loss."""
    step: Callable[[int, int, Mapping[str, float]], None] = lambda number, steps, figures: None
    """``step(number, steps, figures)``, after a policy step: which one of how many, and its figures."""


@dataclass(frozen=True)
class MeasuredRound:
    """A finished round with its measures."""

    entry: RoundEntry
    """The round as the record has it."""
    state: RunState
    """The run after the round."""


class Run(Protocol):
    """One method with one seed, round by round."""

    @property
    def examples(self) -> int:
        """Examples that the whole run trains on, for a progress bar."""
        ...

    @property
    def contract(self) -> Contract | None:
        """What the method declared to travel; None where no parameters do."""
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

    def save(self, state: RunState, folder: Path) -> None:
        """Write the models of the run that ended in ``state``; :class:`UsageError` where that can't be."""
        ...


class Bench(Protocol):
    """Data, backbone and partition, shared by all methods and seeds of a scenario; one per process."""

    @property
    def info(self) -> DataInfo:
        """Data, backbone and partition as a record names them."""
        ...

    @property
    def content(self) -> ContentHashes:
        """The engine's own hashes of data, partition and backbone."""
        ...

    def run(self, method: Any, seed: int, executor: AskedExecutor) -> Run:
        """Begin a run of ``method``, an aggregator or a reward fuser that its plugin made."""
        ...
