"""Observers of runs: whoever follows a run as it goes, beside the plugins."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

from fedbench.api.events import RoundEnd, RunEnd, RunStart

if TYPE_CHECKING:
    from torch import Tensor


class Observer(Protocol):
    """Follows runs, such as a progress bar."""

    def say(self, line: str) -> None:
        """Show one line to the user."""

    def run_started(self, event: RunStart, examples: int) -> None:
        """Note a run that begins and will train on ``examples`` examples."""

    def tick(self, examples: int, loss: Tensor) -> None:
        """Note ``examples`` more examples; ``loss`` is that of each client, [C]."""

    def round_ended(self, event: RoundEnd) -> None:
        """Note a finished round."""

    def run_ended(self, event: RunEnd) -> None:
        """Note a run that has left its record."""


class Silent:
    """An observer that does nothing."""

    def say(self, line: str) -> None:
        """Show nothing."""

    def run_started(self, event: RunStart, examples: int) -> None:
        """Do nothing."""

    def tick(self, examples: int, loss: Tensor) -> None:
        """Do nothing."""

    def round_ended(self, event: RoundEnd) -> None:
        """Do nothing."""

    def run_ended(self, event: RunEnd) -> None:
        """Do nothing."""
