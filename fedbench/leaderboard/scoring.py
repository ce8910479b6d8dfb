"""Scores on one scenario: the measure and the gap closed of every contender, and its rank there."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import takewhile

from fedbench.leaderboard.contenders import Identity, by_contender, grouped
from fedbench.leaderboard.contest import BoardScenario, Contest
from fedbench.leaderboard.eligibility import without_gap
from fedbench.leaderboard.standings import Contender, LeftOut, ScenarioStanding, Score
from fedbench.leaderboard.ties import shared_ranks
from fedbench.results.comparison import halfway, summary
from fedbench.results.run_summary import RunSummary
from fedbench.results.statistics import interval, known_mean
from fedbench.verification.ladder import Level

BySeed = Mapping[int, RunSummary]


@dataclass(frozen=True)
class Frame:
    """What a scenario's scores are taken against.

    ``floors`` and ``ceilings`` are the anchors' runs by seed, ``seeds`` those that all anchors have,
    ``target`` the measure halfway between them, ``problem`` why no entry is ranked (else empty). ``levels``
    says by ``RunSummary.id`` what was verified.
    """

    contest: Contest
    scenario: BoardScenario
    floors: BySeed
    ceilings: BySeed
    seeds: tuple[int, ...]
    target: float | None
    problem: str
    levels: Mapping[str, Level]


def score_scenario(
    contest: Contest,
    scenario: BoardScenario,
    runs: Sequence[RunSummary],
    contenders: Mapping[Identity, Contender],
    levels: Mapping[str, Level],
) -> tuple[ScenarioStanding, list[LeftOut]]:
    """The table of ``scenario`` over ``runs``, which are all on it, and those of them that do not count."""
    frame = _frame(contest, scenario, runs, levels)
    scores, left_out = [], []
    for identity, own in by_contender(contest, runs).items():
        sets = [
            without_gap(contest.board.seeds, option_set)
            for option_set in grouped(own, lambda run: run.contender).values()
        ]
        left_out += [skipped for _, rest in sets for skipped in rest]
        if tried := [counting for counting, _ in sets if counting]:
            scores.append(_score(frame, contenders[identity], tried))
    ordered = sorted(scores, key=lambda s: (s.contender.label, s.contender.key))
    ordered.sort(key=lambda s: -s.summary.sign * s.value.mean)
    ranks = shared_ranks([s for s in ordered if s.counts and not s.contender.anchor])
    ranked = [replace(score, rank=ranks.get(score.contender.key)) for score in ordered]
    ranked.sort(key=lambda score: bool(score.reason))
    standing = ScenarioStanding(
        scenario=scenario,
        scores=tuple(ranked),
        seeds=frame.seeds,
        target=frame.target,
        problem=frame.problem,
    )
    return standing, left_out


def _frame(
    contest: Contest, scenario: BoardScenario, runs: Sequence[RunSummary], levels: Mapping[str, Level]
) -> Frame:
    anchors = {
        name: {run.seed: run for run in runs if run.contender == contender}
        for name, contender in contest.anchor_contenders.items()
    }
    floors = anchors[contest.anchors.floor]
    ceilings = anchors[contest.anchors.ceiling]
    everywhere = set.intersection(*(set(by_seed) for by_seed in anchors.values()))
    seeds = tuple(takewhile(everywhere.__contains__, contest.board.seeds))
    return Frame(
        contest=contest,
        scenario=scenario,
        floors=floors,
        ceilings=ceilings,
        seeds=seeds,
        target=halfway(scenario.metric, floors, ceilings) if floors and ceilings else None,
        problem=scenario.problem or _closed(contest, anchors, seeds, scenario.metric),
        levels=levels,
    )


def _closed(contest: Contest, anchors: Mapping[str, BySeed], seeds: Sequence[int], metric: str) -> str:
    """Why no entry can be ranked: anchors that are missing, have too few seeds, or leave no gap to close."""
    least = contest.board.least_seeds
    if len(seeds) < least:
        short = [
            name for name, by_seed in anchors.items() if not set(contest.board.seeds[:least]) <= set(by_seed)
        ]
        needed = ", ".join(map(str, contest.board.seeds[:least]))
        return f"anchors without seeds {needed}: {', '.join(short)}"
    floor, ceiling = contest.anchors.floor, contest.anchors.ceiling
    tops, starts = ([anchors[name][seed].measures[metric] for seed in seeds] for name in (ceiling, floor))
    sign = -1 if tops[0].better == "lower" else 1
    gap = interval([sign * (top.value - start.value) for top, start in zip(tops, starts, strict=True)])
    return "" if gap.clear and gap.mean > 0 else f"{ceiling} is not clearly better than {floor}"


def _score(frame: Frame, contender: Contender, tried: Sequence[Sequence[RunSummary]]) -> Score:
    """Score a contender that ``tried`` these option sets: one under the rules ``default``."""
    counting, why = _chosen(frame, tried)
    why = why or frame.problem
    in_all = [run for run in counting if run.seed in frame.seeds] if not frame.problem else counting
    about = in_all or counting
    metric = frame.scenario.metric
    result = summary(about, metric, frame.floors, frame.ceilings, frame.target)
    closed = [result.gaps[seed] for seed in result.seeds if seed in result.gaps]
    values = [run.measures[metric].value for run in about]
    if not why and len(closed) < len(values):
        why = "floor and ceiling are the same for one of its seeds"
    reason = why or _short([run.seed for run in counting], frame.seeds)
    return Score(
        contender=contender,
        scenario=frame.scenario,
        rank=None,
        reason=reason if not contender.anchor else "",
        barred=bool(why),
        value=interval(values),
        gap=interval(closed) if len(closed) == len(values) else None,
        summary=result,
        runs=tuple(counting),
        counted=tuple(about),
        trials=len(tried),
        level=min(frame.levels.get(run.id, Level.unverified) for run in counting),
        date=max(run.finished for run in counting)[:10],
    )


def _chosen(frame: Frame, tried: Sequence[Sequence[RunSummary]]) -> tuple[Sequence[RunSummary], str]:
    """The runs of the option set that counts, and why it can't be ranked (else empty).

    Under the rules ``tuned`` it is the best mean among the sets with the most of the seeds. The choice makes
    that mean optimistic, so the number of trials is shown.
    """

    def standing(runs: Sequence[RunSummary]) -> tuple[int, float]:
        measures = [run.measures[frame.scenario.metric] for run in runs if run.seed in frame.seeds]
        values = [m.value * (-1 if m.better == "lower" else 1) for m in measures]
        return len(values), known_mean(values) or 0.0

    limit = frame.contest.board.most_trials
    why = f"{len(tried)} option sets tried, the board allows {limit}" if len(tried) > limit else ""
    return max(tried, key=standing), why


def _short(seeds: Sequence[int], shared: Sequence[int]) -> str:
    """How many of the anchors' seeds a contender has, if not all; else empty.

    With fewer seeds its intervals are wider, and more entries would share its rank.
    """
    counted = len(set(seeds) & set(shared))
    return "" if counted == len(shared) else f"{counted} of {len(shared)} seeds"
