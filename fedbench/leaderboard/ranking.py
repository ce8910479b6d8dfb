"""From runs to standings: the share of the gap that each contender closes, its interval, its rank.

A pure function of a board, what is installed of it, and runs; site and tables show its value.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from statistics import fmean

from fedbench.leaderboard.contenders import by_contender, contender
from fedbench.leaderboard.contest import Contest
from fedbench.leaderboard.eligibility import eligible
from fedbench.leaderboard.scoring import score_scenario
from fedbench.leaderboard.standings import THRESHOLDS, Contender, Row, ScenarioStanding, Score, Standings
from fedbench.leaderboard.ties import shared_ranks
from fedbench.results.run_summary import RunSummary
from fedbench.results.statistics import interval, known_mean
from fedbench.verification.ladder import Level


def rank(
    contest: Contest, runs: Iterable[RunSummary], levels: Mapping[str, Level] | None = None
) -> Standings:
    """Rank the contenders of ``contest`` over ``runs``.

    ``levels`` holds the level that each run was verified to, by ``RunSummary.id``; one that is known to be
    below consistent does not count.
    """
    levels = levels or {}
    counting, left_out = eligible(contest, runs, levels)
    contenders = {
        identity: contender(contest, identity, own)
        for identity, own in by_contender(contest, counting).items()
    }
    scenarios = []
    for scenario in contest.scenarios:
        here = [run for run in counting if run.scenario.fingerprint == scenario.fingerprint]
        standing, late = score_scenario(contest, scenario, here, contenders, levels)
        scenarios.append(standing)
        left_out += late
    left_out.sort(key=lambda item: (item.run.title, item.run.contender, item.run.seed, item.run.id))
    return Standings(
        contest=contest,
        rows=_rows(contest, scenarios, list(contenders.values())),
        scenarios=tuple(scenarios),
        published=contest.board.published,
        left_out=tuple(left_out),
    )


def _rows(
    contest: Contest, standings: Sequence[ScenarioStanding], contenders: Sequence[Contender]
) -> tuple[Row, ...]:
    open_ones = [standing for standing in standings if not standing.problem]
    shared = [seed for seed in contest.board.seeds if all(seed in standing.seeds for standing in open_ones)]
    titles = [standing.scenario.title for standing in open_ones]
    scores: dict[str, dict[str, Score]] = defaultdict(dict)
    for standing in standings:
        for score in standing.scores:
            scores[score.contender.key][standing.scenario.title] = score
    rows = [
        _row(contender, scores[contender.key], titles, shared)
        for contender in contenders
        if contender.key in scores
    ]
    rows.sort(key=lambda row: (row.contender.label, row.contender.key))
    rows.sort(key=lambda row: -(row.gap.mean if row.gap else float("-inf")))
    ranks = shared_ranks([row for row in rows if not row.reason and not row.contender.anchor])
    ranked = [replace(row, rank=ranks.get(row.contender.key)) for row in rows]
    return tuple(sorted(ranked, key=lambda row: bool(row.reason)))


def _row(
    contender: Contender, scores: Mapping[str, Score], titles: Sequence[str], shared: Sequence[int]
) -> Row:
    """A contender's row; ``titles`` are the open scenarios.

    A scenario that was not run counts as 0, and no run counts as less, so that leaving one out never pays.
    """
    counted = {title: scores[title] for title in titles if title in scores and scores[title].covers(shared)}
    seeds = shared if counted else []
    gaps = {
        seed: sum(max(score.gaps[seed], 0.0) for score in counted.values()) / len(titles) for seed in seeds
    }
    closed = [score.gaps[seed] for score in counted.values() for seed in seeds]
    runs = len(titles) * len(seeds)
    summaries = [score.summary for score in (counted or scores).values()]
    reached = [s for s in summaries if s.curves and s.reached == s.curves == len(s.seeds)]
    sent = [s.uplink_megabytes_to_target for s in reached]
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
        worst_client=known_mean([s.worst_client for s in summaries]),
        instability=known_mean([s.instability for s in summaries]),
        reached=len(reached),
        uplink_megabytes_to_target=known_mean(sent),
        uplink_megabytes=fmean(s.uplink_megabytes for s in summaries),
        client_examples=fmean(s.client_examples for s in summaries),
        seconds=fmean(s.seconds for s in summaries),
        seeds=tuple(seeds) or tuple(sorted({seed for s in summaries for seed in s.seeds})),
        level=min(score.level for score in scores.values()),
        date=max(score.date for score in scores.values()),
    )
