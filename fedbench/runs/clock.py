"""The time that a run takes: durations from a monotonic clock, moments that fit them."""

from __future__ import annotations

import time
from datetime import UTC, datetime, timedelta


class RunClock:
    """Times one attempt at a run, and the earlier attempts that it goes on from.

    The wall clock is read once, when the attempt begins; everything later is that moment plus seconds of the
    monotonic clock. So ``finished`` is never before ``started`` plus the run's ``seconds``, even if the wall
    clock is set back meanwhile or between two attempts.

    >>> clock = RunClock()
    >>> clock.go_on("2026-01-01T00:00:00+00:00", 60.0)
    >>> clock.started
    '2026-01-01T00:00:00+00:00'
    >>> clock.seconds() >= 60.0
    True
    """

    def __init__(self) -> None:
        self._first = self._attempt = datetime.now(UTC)
        self._began = time.perf_counter()
        self._earlier = 0.0

    def go_on(self, started: str, seconds: float) -> None:
        """Count the earlier attempts: the first began at ``started`` (ISO 8601), all took ``seconds``."""
        self._first, self._earlier = datetime.fromisoformat(started), seconds
        self._attempt = max(self._attempt, self._first + timedelta(seconds=seconds))

    @property
    def started(self) -> str:
        """When the first attempt began, ISO 8601 in whole seconds."""
        return self._first.isoformat(timespec="seconds")

    def seconds(self) -> float:
        """Measure the seconds taken so far over all attempts."""
        return self._earlier + self._in_attempt()

    def finished(self) -> str:
        """Say when this attempt is, ISO 8601 in whole seconds."""
        return (self._attempt + timedelta(seconds=self._in_attempt())).isoformat(timespec="seconds")

    def _in_attempt(self) -> float:
        return time.perf_counter() - self._began
