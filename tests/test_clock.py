"""Durations of a run, whatever happens to the wall clock meanwhile."""

from datetime import UTC, datetime, timedelta

import pytest

from fedbench.runs import clock
from fedbench.runs.clock import RunClock

NOON = datetime(2026, 1, 1, 12, tzinfo=UTC)


class Clocks:
    """A wall clock that can be set, and a monotonic one that goes on by itself."""

    def __init__(self):
        self.wall, self.monotonic = NOON, 1000.0

    def pass_(self, seconds):
        self.wall += timedelta(seconds=seconds)
        self.monotonic += seconds

    def set_wall(self, seconds):
        self.wall += timedelta(seconds=seconds)

    def now(self, zone):
        assert zone is UTC
        return self.wall

    @staticmethod
    def fromisoformat(text):
        return datetime.fromisoformat(text)

    def perf_counter(self):
        return self.monotonic


@pytest.fixture
def clocks(monkeypatch):
    clocks = Clocks()
    monkeypatch.setattr(clock, "datetime", clocks)
    monkeypatch.setattr(clock, "time", clocks)
    return clocks


def moments(run_clock):
    return run_clock.started, run_clock.finished(), run_clock.seconds()


@pytest.mark.parametrize("jump", [0, -5, -7200, 5, 7200])
def test_a_wall_clock_that_jumps_moves_no_duration(clocks, jump):
    run_clock = RunClock()
    clocks.pass_(10)
    clocks.set_wall(jump)
    clocks.pass_(20)
    assert moments(run_clock) == ("2026-01-01T12:00:00+00:00", "2026-01-01T12:00:30+00:00", 30.0)


def test_a_pause_between_attempts_lies_between_start_and_finish(clocks):
    first = RunClock()
    clocks.pass_(10)
    saved = first.started, first.seconds()
    clocks.pass_(3600)
    second = RunClock()
    second.go_on(*saved)
    clocks.pass_(5)
    assert moments(second) == ("2026-01-01T12:00:00+00:00", "2026-01-01T13:00:15+00:00", 15.0)


def test_a_clock_set_back_between_attempts_leaves_room_for_both(clocks):
    first = RunClock()
    clocks.pass_(10)
    saved = first.started, first.seconds()
    clocks.set_wall(-86400)
    second = RunClock()
    second.go_on(*saved)
    clocks.pass_(5)
    assert moments(second) == ("2026-01-01T12:00:00+00:00", "2026-01-01T12:00:15+00:00", 15.0)
