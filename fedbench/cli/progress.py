"""Progress on stderr: a bar on a terminal, one line a round elsewhere."""

from __future__ import annotations

import sys
import time
from typing import Any

from tqdm import tqdm

from fedbench.cli.main import warn
from fedbench.events import RoundEnd, RunEnd, RunStart


class Progress:
    """Watches runs; one bar a run over its training examples."""

    def __init__(self) -> None:
        self._bar: Any = None
        self._examples, self._began = 0, 0.0

    def say(self, line: str) -> None:
        if self._bar is not None and sys.stderr.isatty():
            tqdm.write(f"fedbench: {line}", file=sys.stderr)
        else:
            warn(line)

    def run_started(self, event: RunStart, examples: int) -> None:
        self._examples, self._began = 0, time.perf_counter()
        self._title = f"{event.scenario} {event.method} seed {event.seed}"
        if sys.stderr.isatty():
            self._bar = tqdm(total=examples, unit="ex", desc=self._title, file=sys.stderr, leave=True)

    def tick(self, examples: int, loss: float) -> None:
        self._examples += examples
        if self._bar is not None:
            self._bar.set_postfix_str(f"loss {loss:.3f}", refresh=False)
            self._bar.update(examples)

    def round_ended(self, event: RoundEnd) -> None:
        place = f"round {event.round}/{event.rounds}"
        if self._bar is not None:
            self._bar.set_description(f"{self._title} {place}")
            return
        entry = event.entry
        loss = "" if entry["loss"] is None else f" loss {entry['loss']:.4f}"
        shown = "".join(
            f" {name} {measure['value']:.4f}" for name, measure in list(entry["metrics"].items())[:1]
        )
        left_out = f" left out {len(entry['left_out'])}" if entry["left_out"] else ""
        rate = self._examples / max(1e-9, time.perf_counter() - self._began)
        warn(f"{self._title} {place}{loss}{shown}{left_out} {rate:.0f} examples/s")

    def run_ended(self, event: RunEnd) -> None:
        if self._bar is not None:
            self._bar.close()
            self._bar = None
        warn(f"{event.status}: {event.record}")
