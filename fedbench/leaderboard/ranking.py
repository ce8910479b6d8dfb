"""From runs to standings: who closes how much of the gap, how sure that is, and who can't be told apart.

A pure function of a board, what is installed of it, and runs; the site and the tables are drawn from it.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import takewhile
from statistics import fmean
from typing import Any

from fedbench.fingerprint import sha256_json
from fedbench.leaderboard.boards import BoardScenario, Contest, Published
from fedbench.results.comparison import Summary, halfway, summary
from fedbench.results.run_summary import RunSummary, unusual
from fedbench.results.statistics import Interval, interval
from fedbench.verification.ladder import Level
from fedbench.verification.safety import cut

THRESHOLDS = tuple(step / 20 for step in range(21))
"""Where the performance profile is read off."""

KEY_DIGITS = 16
"""Of the hash in a contender's key: so many that nobody finds options which share another's."""

LONGEST_OPTIONS = 200
"""Characters of them in a row's name; strangers' methods may have any."""

Identity = tuple[str, ...]
"""Method, plugin and, under the rules ``default``, options."""


@dataclass(frozen=True)
class Contender:
    """Who a row is about. ``options`` is the text of those that differ from the defaults (all of them if
    the method is not installed here); ``key`` can name a file; ``anchor`` rows frame the table."""

    key: str
    method: str
    options: str
    plugin: str
    distribution: str
    versions: tuple[str, ...]
    summary: str
    paper: str
    installed: bool
    anchor: bool

    @property
    def label(self) -> str:
        return f"{self.method} {self.options}".strip()


@dataclass(frozen=True)
class Score:
    """A contender on a scenario. ``value`` is the measure over seeds, ``gap`` the share of the gap closed,
    ``gaps`` that by seed, ``counted`` those of the ``runs`` that these are about. ``rank`` None comes with a
    ``reason``, but for anchors, whose is empty; ``barred`` if that is more than seeds that are missing."""

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
        return self.summary.gaps

    @property
    def counts(self) -> bool:
        """Whether it can be ranked on the scenario."""
        return not self.reason and self.gap is not None

    def covers(self, seeds: Iterable[int]) -> bool:
        """Whether it enters a row over scenarios that is about ``seeds``."""
        return not self.barred and set(seeds) <= set(self.gaps)


@dataclass(frozen=True)
class ScenarioStanding:
    """A scenario's table, best first. ``problem`` says why nobody is ranked on it; ``target`` is halfway
    between the anchors; ``seeds`` are those that all anchors have."""

    scenario: BoardScenario
    scores: tuple[Score, ...]
    seeds: tuple[int, ...]
    target: float | None
    problem: str


@dataclass(frozen=True)
class Row:
    """A contender over the board's scenarios. ``gap`` is the mean over the scenarios that are open, where
    one that is ``missing`` and a run that ended below the start closed nothing; ``profile`` the share of
    (scenario, seed) runs that close at least each of ``THRESHOLDS``. ``seeds`` are those that all open
    scenarios have. ``reached``: on how many scenarios every seed reached the target. All else are means over
    the scenarios that count (of those it ran, if none does); till the target, over those where it was
    reached."""

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
        return tuple(run for score in self.scores.values() for run in score.runs)


@dataclass(frozen=True)
class LeftOut:
    """A run on one of the board's scenarios that does not count, and why."""

    run: RunSummary
    why: str


@dataclass(frozen=True)
class Standings:
    """A board as it stands: over all its scenarios, on each, the papers' figures, what does not count."""

    contest: Contest
    rows: tuple[Row, ...]
    scenarios: tuple[ScenarioStanding, ...]
    published: tuple[Published, ...]
    left_out: tuple[LeftOut, ...]

    def beside(self, table: Published, name: str) -> Score | None:
        """Our score beside the paper's row ``name``: the installed method that the board says it is, with its
        defaults, on the scenario that stands for the table's setting."""
        method = self.contest.board.ours.get(name)
        for scenario, standing in zip(self.contest.board.scenarios, self.scenarios, strict=True):
            if scenario == table.scenario:
                ours = (s for s in standing.scores if s.contender.installed and s.contender.label == method)
                return next(ours, None)
        return None

    @property
    def open(self) -> tuple[str, ...]:
        """Titles of the scenarios on which anybody can be ranked."""
        return tuple(s.scenario.title for s in self.scenarios if not s.problem)


def rank(
    contest: Contest, runs: Iterable[RunSummary], levels: Mapping[str, Level] | None = None
) -> Standings:
    """The standings. ``levels`` says by ``RunSummary.id`` what was verified; what was found to be no more
    than valid
    does not count."""
    levels = levels or {}
    kept, left_out = _eligible(contest, runs, levels)
    names: dict[Identity, Contender] = {}
    for identity, found in _by(kept, lambda run: _identity(contest, run)).items():
        names[identity] = _contender(contest, identity, found)
    scenarios = []
    for scenario in contest.scenarios:
        here = [run for run in kept if run.scenario.fingerprint == scenario.fingerprint]
        standing, late = _scenario(contest, scenario, here, names, levels)
        scenarios.append(standing)
        left_out += late
    left_out.sort(key=lambda item: (item.run.title, item.run.contender, item.run.seed, item.run.id))
    rows = _rows(contest, scenarios, names)
    return Standings(contest, rows, tuple(scenarios), contest.board.published, tuple(left_out))


def _by(runs: Iterable[RunSummary], key: Any) -> dict[Any, list[RunSummary]]:
    groups: dict[Any, list[RunSummary]] = defaultdict(list)
    for run in runs:
        groups[key(run)].append(run)
    return groups


def _eligible(
    contest: Contest, runs: Iterable[RunSummary], levels: Mapping[str, Level]
) -> tuple[list[RunSummary], list[LeftOut]]:
    """The runs on the board's scenarios, in a fixed order, one for each contender, scenario and seed."""
    wanted = {scenario.name: scenario for scenario in contest.scenarios}
    kept: dict[Any, RunSummary] = {}
    left_out = []
    for run in sorted(runs, key=lambda run: (run.title, run.contender, run.seed, run.finished, run.id)):
        if run.scenario.name not in wanted:
            continue
        why = _objection(contest, wanted[run.scenario.name], run)
        if not why and levels.get(run.id, Level.consistent) < Level.consistent:
            retired = levels[run.id] == Level.retired
            why = "its method has changed since" if retired else "it is not consistent"
        key = (run.scenario.fingerprint, run.contender, run.seed)
        if not why and key in kept and kept[key].id != run.id:
            why = f"a second record of seed {run.seed}, the first one counts"
        if why:
            left_out.append(LeftOut(run, why))
        else:
            kept.setdefault(key, run)
    return list(kept.values()), left_out


def _objection(contest: Contest, scenario: BoardScenario, run: RunSummary) -> str:
    """Why ``run`` does not count, whatever the others are; empty if it does."""
    board, spent = contest.board, run.costs
    if run.status != "completed":
        return f"it is {run.status}"
    if scenario.problem:
        return scenario.problem
    if run.scenario.changes:
        changes = " ".join(f"{path}={value}" for path, value in run.scenario.changes.items())
        return f"its scenario was changed: {changes}"
    if (run.title, run.scenario.fingerprint) != (scenario.title, scenario.fingerprint):
        return f"made on {run.title}, another version than {scenario.title} as installed"
    if run.seed not in board.seeds:
        return f"seed {run.seed} is not one of the board's"
    if scenario.metric not in run.measures:
        return f"it has no {scenario.metric}"
    if board.hardware not in ("any", "cpu" if run.device == "cpu" else "cuda"):
        return f"run on {run.device}, the board is for {board.hardware}"
    limits = ((board.budget.examples, spent.client_examples), (board.budget.uplink_bytes, spent.uplink_bytes))
    if any(limit is not None and used > limit for limit, used in limits):
        return "beyond the board's budget"
    return "" if board.rules == "default" else _outside(contest, run)


def _outside(contest: Contest, run: RunSummary) -> str:
    """Under the rules ``tuned``: the option that is not one of the declared space's values."""
    space = contest.board.space.get(run.method.name, {})
    known = contest.methods.get(run.contender[:2])
    for key, value in run.method.options.items():
        allowed = (*space.get(key, ()), *([known.defaults.get(key)] if known else []))
        if (known or key in space) and value not in allowed:
            return f"{key}={value} is outside the space that the board declares"
    return ""


def _identity(contest: Contest, run: RunSummary) -> Identity:
    return run.contender if contest.board.rules == "default" else run.contender[:2]


def _contender(contest: Contest, identity: Identity, runs: Sequence[RunSummary]) -> Contender:
    name, plugin = identity[:2]
    first, known = runs[0], contest.methods.get((name, plugin))
    providers = sorted({(run.method.provider.distribution, run.method.provider.version) for run in runs})
    options = unusual(first.method.options, known.defaults if known else {}) if len(identity) > 2 else ""
    options = cut(options, LONGEST_OPTIONS)
    return Contender(
        key=f"{name}-{sha256_json(identity)[:KEY_DIGITS]}",
        method=name,
        options=options,
        plugin=plugin,
        distribution=", ".join(dict.fromkeys(distribution for distribution, _ in providers)),
        versions=tuple(dict.fromkeys(version for _, version in providers)),
        summary=known.summary if known else "",
        paper=known.paper if known else "",
        installed=known is not None,
        anchor=_is_anchor(contest, first),
    )


def _is_anchor(contest: Contest, run: RunSummary) -> bool:
    return run.contender in [contest.anchor_contenders[name] for name in contest.anchors.frame]


def _scenario(
    contest: Contest,
    scenario: BoardScenario,
    runs: Sequence[RunSummary],
    names: Mapping[Identity, Contender],
    levels: Mapping[str, Level],
) -> tuple[ScenarioStanding, list[LeftOut]]:
    anchors = {
        name: {run.seed: run for run in runs if run.contender == who}
        for name, who in contest.anchor_contenders.items()
    }
    floors = anchors[contest.anchors.floor]
    ceilings = anchors[contest.anchors.ceiling]
    everywhere = set.intersection(*(set(found) for found in anchors.values()))
    seeds = tuple(takewhile(everywhere.__contains__, contest.board.seeds))
    problem = scenario.problem or _closed(contest, anchors, seeds, scenario.metric)
    target = halfway(scenario.metric, floors, ceilings) if floors and ceilings else None
    scores, left_out = [], []
    for identity, found in _by(runs, lambda run: _identity(contest, run)).items():
        sets = [_without_gap(contest, runs) for runs in _by(found, lambda run: run.contender).values()]
        left_out += [skipped for _, rest in sets for skipped in rest]
        if not (tried := [chosen for chosen, _ in sets if chosen]):
            continue
        counted, why = _chosen(contest, scenario, tried, seeds)
        why = why or problem
        in_all = [run for run in counted if run.seed in seeds] if not problem else counted
        about = in_all or counted
        told = summary(about, scenario.metric, floors, ceilings, target)
        closed = [told.gaps[seed] for seed in told.seeds if seed in told.gaps]
        values = [run.measures[scenario.metric].value for run in about]
        if not why and len(closed) < len(values):
            why = "floor and ceiling are the same for one of its seeds"
        reason = why or _short([run.seed for run in counted], seeds)
        scores.append(
            Score(
                contender=names[identity],
                scenario=scenario,
                rank=None,
                reason=reason if not names[identity].anchor else "",
                barred=bool(why),
                value=interval(values),
                gap=interval(closed) if len(closed) == len(values) else None,
                summary=told,
                runs=tuple(counted),
                counted=tuple(about),
                trials=len(tried),
                level=min(levels.get(run.id, Level.unverified) for run in counted),
                date=max(run.finished for run in counted)[:10],
            )
        )
    ordered = sorted(scores, key=lambda s: (s.contender.label, s.contender.key))
    ordered.sort(key=lambda s: -s.summary.sign * s.value.mean)
    ranked = _ranks([s for s in ordered if s.counts and not s.contender.anchor])
    placed = [replace(score, rank=ranked.get(score.contender.key)) for score in ordered]
    placed.sort(key=lambda score: bool(score.reason))
    return ScenarioStanding(scenario, tuple(placed), seeds, target, problem), left_out


def _closed(
    contest: Contest, anchors: Mapping[str, Mapping[int, RunSummary]], seeds: Sequence[int], metric: str
) -> str:
    """Why nobody can be ranked: anchors that are missing, have too few seeds, or leave no gap to close."""
    least = contest.board.least_seeds
    if len(seeds) < least:
        short = [
            name for name, found in anchors.items() if not set(contest.board.seeds[:least]) <= set(found)
        ]
        needed = ", ".join(map(str, contest.board.seeds[:least]))
        return f"anchors without seeds {needed}: {', '.join(short)}"
    floor, ceiling = contest.anchors.floor, contest.anchors.ceiling
    tops, starts = ([anchors[name][seed].measures[metric] for seed in seeds] for name in (ceiling, floor))
    sign = -1 if tops[0].better == "lower" else 1
    gap = interval([sign * (top.value - start.value) for top, start in zip(tops, starts, strict=True)])
    return "" if gap.clear and gap.mean > 0 else f"{ceiling} is not clearly better than {floor}"


def _short(seeds: Sequence[int], shared: Sequence[int]) -> str:
    """What a contender has too few of. Fewer seeds than the anchors have make wider intervals, and would be
    told apart from fewer entries."""
    counted = len(set(seeds) & set(shared))
    return "" if counted == len(shared) else f"{counted} of {len(shared)} seeds"


def _without_gap(contest: Contest, runs: Sequence[RunSummary]) -> tuple[list[RunSummary], list[LeftOut]]:
    """The runs of the board's first seeds up to the first that is missing; the others may be chosen ones."""
    by_seed = {run.seed: run for run in runs}
    first = list(takewhile(by_seed.__contains__, contest.board.seeds))
    if len(first) == len(by_seed):
        return [by_seed[seed] for seed in first], []
    gap = next(seed for seed in contest.board.seeds if seed not in by_seed)
    why = f"seed {gap} is missing, and seeds after a gap may be chosen ones"
    rest = [LeftOut(run, why) for seed, run in by_seed.items() if seed not in first]
    return [by_seed[seed] for seed in first], rest


def _chosen(
    contest: Contest, scenario: BoardScenario, tried: Sequence[Sequence[RunSummary]], seeds: Sequence[int]
) -> tuple[Sequence[RunSummary], str]:
    """The runs of the option set that counts, and what is wrong with that.

    Under the rules ``tuned`` it is the best mean among the sets with the most of ``seeds``: optimistic by the
    choice, which is why the trials are shown.
    """

    def standing(runs: Sequence[RunSummary]) -> tuple[int, float]:
        measures = [run.measures[scenario.metric] for run in runs if run.seed in seeds]
        values = [m.value * (-1 if m.better == "lower" else 1) for m in measures]
        return len(values), _mean(values) or 0.0

    limit = contest.board.most_trials
    why = f"{len(tried)} option sets tried, the board allows {limit}" if len(tried) > limit else ""
    return max(tried, key=standing), why


def _ranks(entries: Sequence[Any]) -> dict[str, int]:
    """Ranks by contender, ``entries`` best first; who can't be told from the first of a rank shares it."""
    ranks: dict[str, int] = {}
    leader = None
    for position, entry in enumerate(entries, start=1):
        if leader is None or _told_apart(leader.gaps, entry.gaps):
            leader, number = entry, position
        ranks[entry.contender.key] = number
    return ranks


def _told_apart(ours: Mapping[int, float], theirs: Mapping[int, float]) -> bool:
    return interval([ours[seed] - theirs[seed] for seed in sorted(set(ours) & set(theirs))]).clear


def _rows(
    contest: Contest, standings: Sequence[ScenarioStanding], names: Mapping[Identity, Contender]
) -> tuple[Row, ...]:
    open_ones = [standing for standing in standings if not standing.problem]
    shared = [seed for seed in contest.board.seeds if all(seed in standing.seeds for standing in open_ones)]
    titles = [standing.scenario.title for standing in open_ones]
    found: dict[str, dict[str, Score]] = defaultdict(dict)
    for standing in standings:
        for score in standing.scores:
            found[score.contender.key][standing.scenario.title] = score
    rows = [
        _row(contender, found[contender.key], titles, shared)
        for contender in names.values()
        if contender.key in found
    ]
    rows.sort(key=lambda row: (row.contender.label, row.contender.key))
    rows.sort(key=lambda row: -(row.gap.mean if row.gap else float("-inf")))
    competing = [row for row in rows if not row.reason and not row.contender.anchor]
    ranks = _ranks(competing)
    placed = [replace(row, rank=ranks.get(row.contender.key)) for row in rows]
    return tuple(sorted(placed, key=lambda row: bool(row.reason)))


def _row(
    contender: Contender, scores: Mapping[str, Score], titles: Sequence[str], shared: Sequence[int]
) -> Row:
    """``titles`` are the open scenarios. One that was not run closes nothing, and no run less than that, so
    that leaving a scenario out never pays."""
    counted = {title: scores[title] for title in titles if title in scores and scores[title].covers(shared)}
    seeds = shared if counted else []
    gaps = {
        seed: sum(max(score.gaps[seed], 0.0) for score in counted.values()) / len(titles) for seed in seeds
    }
    closed = [score.gaps[seed] for score in counted.values() for seed in seeds]
    runs = len(titles) * len(seeds)
    summaries = [score.summary for score in (counted or scores).values()]
    there = [s for s in summaries if s.curves and s.reached == s.curves == len(s.seeds)]
    sent = [s.uplink_megabytes_to_target for s in there if s.uplink_megabytes_to_target is not None]
    reasons = {score.reason for score in scores.values() if score.reason}
    reason = "" if gaps or contender.anchor else min(reasons, default="no scenario is open")
    return Row(
        contender=contender,
        rank=None,
        reason=reason,
        gap=interval(list(gaps.values())) if gaps else None,
        gaps=gaps,
        profile=tuple(sum(gap >= share for gap in closed) / runs if runs else 0.0 for share in THRESHOLDS),
        scores={title: scores[title] for title in sorted(scores)},
        missing=tuple(title for title in titles if title not in counted),
        worst_client=_mean([s.worst_client for s in summaries]),
        instability=_mean([s.instability for s in summaries]),
        reached=len(there),
        uplink_megabytes_to_target=fmean(sent) if sent else None,
        uplink_megabytes=fmean(s.uplink_megabytes for s in summaries),
        client_examples=fmean(s.client_examples for s in summaries),
        seconds=fmean(s.seconds for s in summaries),
        seeds=tuple(seeds) or tuple(sorted({seed for s in summaries for seed in s.seeds})),
        level=min(score.level for score in scores.values()),
        date=max(score.date for score in scores.values()),
    )


def _mean(values: Sequence[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return fmean(known) if known else None
