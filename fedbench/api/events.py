"""What observers are told. Frozen: an observer can't change a number."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any


@dataclass(frozen=True, slots=True)
class RunStart:
    scenario: str
    method: str
    seed: int
    rounds: int
    primary: str
    folder: Path


@dataclass(frozen=True, slots=True)
class RoundEnd:
    """``entry`` is the round's line in the round log (see ``results.record.RoundEntry``)."""

    scenario: str
    method: str
    seed: int
    round: int
    rounds: int
    entry: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class PolicyStep:
    """``entry`` holds the step's figures by name: ``policy/loss``, ``policy/reward``, ``policy/kl``, …

    Steps since the last completed round are told again when a run is taken up.
    """

    scenario: str
    method: str
    seed: int
    step: int
    steps: int
    entry: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class RunEnd:
    """``record`` is the path of the record just written; ``status`` completed, cancelled or failed."""

    scenario: str
    method: str
    seed: int
    status: str
    record: Path


@dataclass(frozen=True, slots=True)
class RunError:
    scenario: str
    method: str
    seed: int
    error: str
