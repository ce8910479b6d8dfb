"""Where the time of one attempt at a run goes, part by part, as a table's row and as a trace.

Only clocks are read, so that a run's bits are the same with and without.
"""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from fedbench.api.metrics import Costs
from fedbench.files import write_atomic

Part = Literal[
    "preparing", "training", "server", "evaluation in rounds", "checkpoints and logs", "final suites"
]
PARTS: tuple[Part, ...] = (
    "preparing",
    "training",
    "server",
    "evaluation in rounds",
    "checkpoints and logs",
    "final suites",
)
REST = "other"
"""What a profile calls the time that is in no part."""


@dataclass(frozen=True, kw_only=True)
class Span:
    """A stretch of time: what it went into, when it began and how many seconds it took."""

    name: str
    began: float
    seconds: float


@dataclass
class RunProfile:
    """The spans of an attempt that begins when this is made."""

    spans: list[Span] = field(default_factory=list)
    began: float = field(default_factory=time.perf_counter)

    @contextmanager
    def part(self, name: Part) -> Iterator[None]:
        """Count the block's time as that part's, also if it fails."""
        began = time.perf_counter()
        try:
            yield
        finally:
            self.spans.append(Span(name=name, began=began, seconds=time.perf_counter() - began))

    def round(self, number: int, costs: Costs, began: float) -> None:
        """Count a round that began at ``began`` and ends now, by the seconds of its ``costs``.

        A round's parts may take turns. Only their sums are known: they are laid end to end.
        """
        seconds = time.perf_counter() - began
        self.spans.append(Span(name=f"round {number}", began=began, seconds=seconds))
        parts: dict[Part, float] = {
            "training": costs.client_seconds,
            "server": costs.server_seconds,
            "evaluation in rounds": costs.evaluation_seconds,
        }
        for name, taken in parts.items():
            self.spans.append(Span(name=name, began=began, seconds=taken))
            began += taken

    def seconds(self) -> dict[str, float]:
        """Seconds so far by part, and of all else; together what has passed since the attempt began."""
        passed = time.perf_counter() - self.began
        by_part: dict[str, float] = {
            part: sum(span.seconds for span in self.spans if span.name == part) for part in PARTS
        }
        return by_part | {REST: max(0.0, passed - sum(by_part.values()))}

    def write(self, path: Path) -> None:
        """Write the spans as a trace that Perfetto and ``chrome://tracing`` open."""
        events = [
            {
                "name": span.name,
                "ph": "X",
                "ts": round(1e6 * (span.began - self.began)),
                "dur": round(1e6 * span.seconds),
                "pid": 1,
                "tid": 1,
            }
            for span in self.spans
        ]
        write_atomic(path, json.dumps({"traceEvents": events, "displayTimeUnit": "ms"}) + "\n")
