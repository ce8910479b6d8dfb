"""What observers receive. Frozen: an observer can't change a number."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any


@dataclass(frozen=True, slots=True)
class RunEvent:
    """What every event says: the run that it is about."""

    scenario: str
    """``name@version``."""
    method: str
    """The method's name, without its options."""
    seed: int
    """The seed that every random stream of the run is derived from."""


@dataclass(frozen=True, slots=True)
class RunStart(RunEvent):
    """A run is about to begin, or to be resumed.

    >>> from pathlib import Path
    >>> from fedbench import RunStart
    >>> event = RunStart(
    ...     scenario="emoji-ii@2", method="fedavg", seed=0, rounds=10, primary="unseen/category/accuracy",
    ...     folder=Path("runs/emoji-ii@2/fedavg/seed-0"),
    ... )
    >>> event.seed = 1
    Traceback (most recent call last):
    dataclasses.FrozenInstanceError: cannot assign to field 'seed'
    """

    rounds: int
    """Rounds of the whole run."""
    primary: str
    """The measure that the scenario compares methods by, ``split/suite/metric``."""
    folder: Path
    """Where checkpoints are kept and the record will be written."""


@dataclass(frozen=True, slots=True)
class RoundEnd(RunEvent):
    """A round, or the evaluation of the start, is complete: evaluated, checkpointed and logged.

    >>> from fedbench import RoundEnd
    >>> event = RoundEnd(
    ...     scenario="emoji-ii@2", method="fedavg", seed=0, round=1, rounds=10, entry={"loss": 1.5}
    ... )
    >>> f"round {event.round} of {event.rounds}: loss {event.entry['loss']}"
    'round 1 of 10: loss 1.5'
    """

    round: int
    """The round that has ended; 0 is the start, before any training."""
    rounds: int
    """Rounds of the whole run."""
    entry: Mapping[str, Any]
    """The round's line in the round log, as JSON has it: ``metrics``, ``loss``, ``costs``, ``cohort``, … (the
    fields of ``RoundEntry`` in a record)."""


@dataclass(frozen=True, slots=True)
class PolicyStep(RunEvent):
    """The server made one policy step (preference track).

    Steps since the last completed round are announced again when a run is resumed.

    >>> from fedbench import PolicyStep
    >>> event = PolicyStep(
    ...     scenario="prefs-emoji-tasks@1", method="mor", seed=0, step=1, steps=60,
    ...     entry={"policy/reward": 0.25, "policy/kl": 0.0},
    ... )
    >>> event.entry["policy/reward"]
    0.25
    """

    step: int
    """The step's number, from 1."""
    steps: int
    """Steps of the whole run."""
    entry: Mapping[str, Any]
    """The step's figures by name: ``policy/loss``, ``policy/reward``, ``policy/kl``, …"""


@dataclass(frozen=True, slots=True)
class RunEnd(RunEvent):
    """A run has ended and its record is on disk.

    >>> from pathlib import Path
    >>> from fedbench import RunEnd
    >>> event = RunEnd(
    ...     scenario="emoji-ii@2", method="fedavg", seed=0, status="completed", record=Path("record.json")
    ... )
    >>> event.status
    'completed'
    """

    status: str
    """``completed``, ``cancelled`` (by Ctrl-C) or ``failed``."""
    record: Path
    """The record just written."""


@dataclass(frozen=True, slots=True)
class RunError(RunEvent):
    """A run failed; the error is about to be raised.

    >>> from fedbench import RunError
    >>> RunError(scenario="emoji-ii@2", method="fedavg", seed=0, error="no space left on device").error
    'no space left on device'
    """

    error: str
    """The error in one line."""
