"""Progress on stderr: a bar on a terminal, one line a round elsewhere."""

from __future__ import annotations

import sys
import time
from typing import TYPE_CHECKING, Any

from tqdm import tqdm

from fedbench.api.events import RoundEnd, RunEnd, RunStart
from fedbench.cli.main import warn

if TYPE_CHECKING:
    from torch import Tensor


class Progress:
    """Watches runs; one bar a run over its training examples."""

    def __init__(self) -> None:
        self._bar: Any = None
        self._title, self._primary = "", ""
        self._examples, self._began = 0, 0.0

    def say(self, line: str) -> None:
        if self._bar is None:
            warn(line)
        else:
            self._bar.write(f"fedbench: {line}", file=sys.stderr)

    def run_started(self, event: RunStart, examples: int) -> None:
        self._title, self._primary = f"{event.scenario} {event.method} seed {event.seed}", event.primary
        self._examples, self._began = 0, time.perf_counter()
        if sys.stderr.isatty():
            self._bar = tqdm(total=examples, unit=" examples", desc=self._title, dynamic_ncols=True)

    def tick(self, examples: int, loss: Tensor) -> None:
        self._examples += examples
        if self._bar is not None and self._bar.update(examples):
            self._bar.set_postfix_str(f"loss {float(loss.mean()):.3f}", refresh=False)

    def round_ended(self, event: RoundEnd) -> None:
        entry, place = event.entry, f"round {event.round}/{event.rounds}"
        found = [place]
        if entry["loss"] is not None:
            found.append(f"loss {entry['loss']:.4f}")
        if measure := entry["metrics"].get(self._primary):
            found.append(f"{self._primary} {measure['value']:.4f}")
        if entry["left_out"]:
            found.append(f"{len(entry['left_out'])} clients left out")
        if self._bar is None:
            rate = self._examples / (time.perf_counter() - self._began)
            warn(f"{self._title}: {', '.join([*found, f'{rate:.0f} examples/s'])}")
        else:
            self._bar.set_description(f"{event.method} {place}")
            self._bar.write("  ".join([f"{self._title}:", *found]), file=sys.stderr)

    def run_ended(self, event: RunEnd) -> None:
        if self._bar is not None:
            self._bar.close()
            self._bar = None
        warn(f"{event.status}: {event.record}")
