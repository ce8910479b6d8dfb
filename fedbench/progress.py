"""Progress on stderr: a bar on a terminal and in a notebook, one line a round elsewhere."""

from __future__ import annotations

import sys
import time
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from tqdm.asyncio import tqdm_asyncio
from tqdm.auto import tqdm

from fedbench.api.events import RoundEnd, RunEnd, RunStart

if TYPE_CHECKING:
    from torch import Tensor

IN_NOTEBOOK = tqdm is not tqdm_asyncio
"""Whether tqdm draws its bars as a notebook's widgets."""


def note(line: str) -> None:
    """Print one line on stderr; stdout is for data. A stderr that can't be written stops no run."""
    with suppress(OSError):
        print(f"fedbench: {line}", file=sys.stderr)


class Progress:
    """An observer of runs that draws one bar a run over its training examples."""

    def __init__(self) -> None:
        self._bar: Any = None
        self._title, self._primary = "", ""
        self._examples, self._began = 0, 0.0

    def say(self, line: str) -> None:
        """Print one line, above the bar if there is one."""
        if self._bar is None:
            note(line)
        else:
            self._bar.write(f"fedbench: {line}", file=sys.stderr)

    def run_started(self, event: RunStart, examples: int) -> None:
        """Begin the run's bar; ``examples`` is how many the run trains on in all."""
        self._title, self._primary = f"{event.scenario} {event.method} seed {event.seed}", event.primary
        self._examples, self._began = 0, time.perf_counter()
        if IN_NOTEBOOK or sys.stderr.isatty():
            self._bar = tqdm(total=examples, unit=" examples", desc=self._title, dynamic_ncols=True)

    def tick(self, examples: int, loss: Tensor) -> None:
        """Count ``examples`` more; ``loss`` is that of each client, [C]."""
        self._examples += examples
        if self._bar is not None and self._bar.update(examples):
            self._bar.set_postfix_str(f"loss {float(loss.mean()):.3f}", refresh=False)

    def round_ended(self, event: RoundEnd) -> None:
        """Print the round's loss and primary measure."""
        entry, place = event.entry, f"round {event.round}/{event.rounds}"
        parts = [place]
        if entry["loss"] is not None:
            parts.append(f"loss {entry['loss']:.4f}")
        if measure := entry["metrics"].get(self._primary):
            parts.append(f"{self._primary} {measure['value']:.4f}")
        if entry["left_out"]:
            parts.append(f"{len(entry['left_out'])} clients left out")
        if self._bar is None:
            rate = self._examples / (time.perf_counter() - self._began)
            note(f"{self._title}: {', '.join([*parts, f'{rate:.0f} examples/s'])}")
        else:
            self._bar.set_description(f"{event.method} {place}")
            self._bar.write("  ".join([f"{self._title}:", *parts]), file=sys.stderr)

    def run_ended(self, event: RunEnd) -> None:
        """Close the bar and say where the record is."""
        if self._bar is not None:
            self._bar.close()
            self._bar = None
        note(f"{event.status}: {event.record}")
