"""A board's standings as values: contenders, their scores on a scenario, their rows over all scenarios."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from fedbench.leaderboard.boards import Published
from fedbench.leaderboard.contest import BoardScenario, Contest
from fedbench.results.comparison import Summary
from fedbench.results.run_summary import RunSummary
from fedbench.results.statistics import Interval
from fedbench.verification.ladder import Level

THRESHOLDS = tuple(step / 20 for step in range(21))
"""Shares of the gap at which the performance profile is read off."""

PRIVILEGED = "sees the true reward"
"""What boards say of a privileged contender."""


@dataclass(frozen=True)
class Contender:
    """A method as an entry of a board.

    ``options`` is the text of those that differ from the defaults (all of them if the method is not
    installed here). ``key`` identifies the contender and can name a file. ``distribution`` and ``versions``
    are those of its records, ``summary`` and ``paper`` those of the method as ``installed``. A ``privileged``
    one asked for the true reward. An ``anchor`` has no rank.
    """

    key: str
    method: str
    options: str
    plugin: str
    distribution: str
    versions: tuple[str, ...]
    summary: str
    paper: str
    installed: bool
    privileged: bool
    anchor: bool

    @property
    def label(self) -> str:
        """The method with the options that differ from its defaults."""
        return f"{self.method} {self.options}".strip()

    @property
    def marked(self) -> str:
        """The label, with what a reader must know of it."""
        return f"{self.label} ({PRIVILEGED})" if self.privileged else self.label


@dataclass(frozen=True)
class Score:
    """A contender's result on one scenario.

    ``rank`` is None with a ``reason`` (for an anchor, without one); ``barred`` says that the reason is more
    than missing seeds. ``value`` is the measure over seeds and ``gap`` the share of the gap closed, over
    the ``counted`` ones of its ``runs``. ``trials`` is the number of option sets tried, ``level`` the
    lowest that a record of it was verified to, ``date`` the newest record's.
    """

    contender: Contender
    scenario: BoardScenario
    rank: int | None
    reason: str
    barred: bool
    value: Interval
    gap: Interval | None
    summary: Summary
    runs: tuple[RunSummary, ...]
    counted: tuple[RunSummary, ...]
    trials: int
    level: Level
    date: str

    @property
    def gaps(self) -> Mapping[int, float]:
        """The share of the gap closed, by seed."""
        return self.summary.gaps

    @property
    def counts(self) -> bool:
        """Whether it can be ranked on the scenario."""
        return not self.reason and self.gap is not None

    def covers(self, seeds: Iterable[int]) -> bool:
        """Whether it has a gap for each of ``seeds``, so that it counts in a row over scenarios."""
        return not self.barred and set(seeds) <= set(self.gaps)


@dataclass(frozen=True)
class ScenarioStanding:
    """A scenario's table.

    ``scores`` are in the order of their rank. ``seeds`` are those that all anchors have. ``target`` is the
    measure halfway between the anchors, None without them. ``problem`` says why no entry is ranked; else it
    is empty.
    """

    scenario: BoardScenario
    scores: tuple[Score, ...]
    seeds: tuple[int, ...]
    target: float | None
    problem: str


@dataclass(frozen=True)
class Row:
    """A contender's result over all scenarios of a board that are open.

    ``gap`` is the mean share of the gap closed and ``gaps`` that by seed; a scenario that is ``missing``
    and a run that ended below the start closed nothing. ``profile`` is the share of (scenario, seed) runs
    that close at least each of ``THRESHOLDS``. ``seeds`` are those that all open scenarios have, ``scores``
    the scores by the scenario's title. ``reached`` counts the scenarios on which every seed reached the
    target, and ``uplink_megabytes_to_target`` is the mean over those; all else are means over the scenarios
    that count, or over those that were run if none counts. ``rank`` is None with a ``reason`` (for an
    anchor, without one).
    """

    contender: Contender
    rank: int | None
    reason: str
    gap: Interval | None
    gaps: Mapping[int, float]
    profile: tuple[float, ...]
    scores: Mapping[str, Score]
    missing: tuple[str, ...]
    worst_client: float | None
    instability: float | None
    reached: int
    uplink_megabytes_to_target: float | None
    uplink_megabytes: float
    client_examples: float
    seconds: float
    seeds: tuple[int, ...]
    level: Level
    date: str

    @property
    def runs(self) -> tuple[RunSummary, ...]:
        """Its runs on all scenarios."""
        return tuple(run for score in self.scores.values() for run in score.runs)


@dataclass(frozen=True)
class LeftOut:
    """A run on one of the board's scenarios that does not count, and why."""

    run: RunSummary
    why: str


@dataclass(frozen=True)
class Standings:
    """A board as it stands: over all its scenarios (``rows``), on each of them, papers' figures
    (``published``) and what does not count (``left_out``)."""

    contest: Contest
    rows: tuple[Row, ...]
    scenarios: tuple[ScenarioStanding, ...]
    published: tuple[Published, ...]
    left_out: tuple[LeftOut, ...]

    @property
    def open(self) -> tuple[str, ...]:
        """Titles of the scenarios on which contenders can be ranked."""
        return tuple(s.scenario.title for s in self.scenarios if not s.problem)

    def beside(self, table: Published, name: str) -> Score | None:
        """Our score to show beside the row ``name`` of a paper's table: that of the installed method which
        the board says it is, with its defaults, on the scenario that stands for the table's setting."""
        method = self.contest.board.ours.get(name)
        for scenario, standing in zip(self.contest.board.scenarios, self.scenarios, strict=True):
            if scenario == table.scenario:
                ours = (s for s in standing.scores if s.contender.installed and s.contender.label == method)
                return next(ours, None)
        return None
