"""What the runner needs of a track: a bench that its runs share, and a run that goes round by round."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Protocol

from fedbench.federation.checkpoint import Checkpoint
from fedbench.federation.client_state import ClientState
from fedbench.federation.executors import Executor, ExecutorName
from fedbench.federation.local import Tick
from fedbench.federation.updates import Updates
from fedbench.api.metrics import Measure
from fedbench.api.aggregator import State
from fedbench.results.records import DataInfo, RoundEntry


@dataclass(frozen=True)
class ProgressCallbacks:
    """Whom a run tells how far it has got within a round: ``tick`` the examples since the last call and
    their loss; ``step`` a policy step's number, how many there are, and its figures."""

    tick: Tick = lambda examples, loss: None
    step: Callable[[int, int, Mapping[str, float]], None] = lambda number, steps, figures: None


class Run(Protocol):
    """One method with one seed, round by round; ``state``, ``client_state`` and ``late`` are where it stands after
    the round that ``rounds`` gave last."""

    state: State
    client_state: ClientState
    late: Updates

    @property
    def examples(self) -> int:
        """Examples that the whole run trains on, for a progress bar."""
        ...

    def executor(self, saved: Mapping[str, object] | None) -> Executor:
        """The executor; a resumed run keeps the one it began with, so that its bits stay the same."""
        ...

    def rounds(self, executor: Executor, resume: Checkpoint | None, progress: ProgressCallbacks) -> Iterator[RoundEntry]:
        """Round 0 (the untouched start), then every round after ``resume``."""
        ...

    def final(self) -> tuple[dict[str, Measure], dict[str, dict[str, Measure]]]:
        """Every final measure, and each control's."""
        ...


class Bench(Protocol):
    """What every method and seed of a scenario shares; one lives per process and scenario."""

    @property
    def info(self) -> DataInfo: ...

    def run(self, method: Any, seed: int, executor: ExecutorName) -> Run:
        """A run of a method as its plugin made it."""
        ...
