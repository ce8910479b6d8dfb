"""Several records beside each other: means over seeds, and differences paired by seed."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from statistics import fmean, stdev
from typing import Any, Literal

from fedbench.errors import UsageError
from fedbench.fingerprint import canonical_json
from fedbench.results.anchors import ANCHORS
from fedbench.results.own_part import OWN
from fedbench.results.records import Record
from fedbench.results.run_summary import RunSummary, aligned, run_of
from fedbench.results.statistics import EQUAL, Interval, interval, standard_error

NONE: Mapping[int, RunSummary] = {}


@dataclass(frozen=True)
class Summary:
    """What a method's runs on one scenario come to over seeds; None where it can't be computed."""

    scenario: str
    """``name@version``."""
    fingerprint: str
    """The scenario's, sha256."""
    setting: str
    """The key of the setting: scenario, content and arithmetic."""
    method: str
    """The method's name."""
    plugin: str
    """The plugin that provides the method."""
    options: Mapping[str, Any]
    """The method's options."""
    metric: str
    """The measure that is summarised, ``split/suite/value``."""
    better: str
    """``higher``, ``lower`` or ``neither``."""
    sign: int
    """−1 where lower is better, else 1."""
    seeds: tuple[int, ...]
    """The seeds, ascending."""
    mean: float
    """The mean over seeds."""
    se: float | None
    """Standard error between seeds."""
    item_se: float | None
    """Standard error within a run, between items; the mean over seeds."""
    start: float | None
    """The measure before training; the mean over seeds."""
    gaps: Mapping[int, float]
    """By seed that has both anchors: (measure − floor) / (ceiling − floor)."""
    gap_closed: float | None
    """The mean of ``gaps``."""
    gap_closed_se: float | None
    """Standard error of ``gap_closed`` between seeds."""
    worst_client: float | None
    """The worst client's primary measure; the mean over seeds."""
    p10_client: float | None
    """The 10th percentile of the clients' primary measures; the mean over seeds."""
    curves: int
    """How many runs measured the metric after every round."""
    instability: float | None
    """Mean drop from the best measure so far, over rounds and seeds."""
    target: float | None
    """The value to reach, in the units of ``metric``."""
    reached: int
    """How many of the runs with a curve reached ``target``."""
    rounds_to_target: float | None
    """Rounds until ``target``; the mean over the runs that reached it."""
    uplink_megabytes_to_target: float | None
    """Megabytes that clients had sent by then; the mean over the same runs."""
    uplink_megabytes: float
    """Megabytes that clients sent; the mean over seeds."""
    client_examples: float
    """Training examples that clients saw; the mean over seeds."""
    seconds: float
    """Wall time; the mean over seeds."""
    changes: Mapping[str, Any]
    """The scenario's values that were changed, by dotted path."""
    source: str = ""
    """Where the runs are from, if another source holds other runs of the method; else empty."""

    @property
    def name(self) -> str:
        """The method and where its runs are from, if others are from elsewhere."""
        return f"{self.method} ({self.source})" if self.source else self.method

    @property
    def title(self) -> str:
        """The scenario and what was changed about it."""
        changes = (f"{path}={value}" for path, value in self.changes.items())
        return " ".join((self.scenario, *changes))


Key = tuple[str, ...]
"""Scenario, its setting, method, plugin, options."""


def grouped(sources: Mapping[str, Iterable[RunSummary]]) -> list[tuple[str, list[RunSummary]]]:
    """Group completed runs by scenario and contender, a run for each seed, in the order of the seeds.

    Runs of different settings (see :class:`.settings.Setting`) are never in one group. Sources that hold
    other records of the same seed make a group each, with the source's name; else that is empty.
    """
    by_key: dict[Key, dict[str, dict[int, RunSummary]]] = {}
    for source, runs in sources.items():
        for run in runs:
            if run.status != "completed":
                continue
            key = (run.scenario.name, run.setting.key, *run.contender)
            first = by_key.setdefault(key, {}).setdefault(source, {}).setdefault(run.seed, run)
            if first.id != run.id:
                raise UsageError(
                    f"two records of {run.method.name} on {run.title} with seed {run.seed}",
                    why=f"{first.path} and {run.path}",
                    fix="name their folders apart, to compare them",
                )
    if not by_key:
        raise UsageError("there is no completed record to compare")
    groups = []
    for parts in map(_different, by_key.values()):
        whole = {seed: run for part in parts.values() for seed, run in part.items()}
        apart = any(whole[seed].id != run.id for part in parts.values() for seed, run in part.items())
        for source, part in parts.items() if apart else [("", whole)]:
            groups.append((source, [part[seed] for seed in sorted(part)]))
    return groups


def _different(parts: Mapping[str, Mapping[int, RunSummary]]) -> Mapping[str, Mapping[int, RunSummary]]:
    """Drop the sources whose runs an earlier one holds all of."""
    kept: dict[str, Mapping[int, RunSummary]] = {}
    for source, part in parts.items():
        ids = {run.id for run in part.values()}
        if not any(ids <= {run.id for run in other.values()} for other in kept.values()):
            kept[source] = part
    return kept


def summarise(
    records: Iterable[Record], metric: str | None = None, target: float | None = None
) -> list[Summary]:
    """A summary per scenario and method (and option set), best first.

    ``target`` defaults to halfway between the track's floor and ceiling.
    """
    runs = {"": aligned(map(run_of, records))}
    return [row.summary for row in compare(runs, metric=metric, target=target)]


@dataclass(frozen=True)
class Difference:
    """A method's measure minus the reference's, over the seeds that both have."""

    against: str
    """The reference's method."""
    metric: str
    """The measure, ``split/suite/value``."""
    seeds: tuple[int, ...]
    """The seeds that both have."""
    interval: Interval
    """The mean difference over seeds and its 95 % interval; positive is more."""
    effect: float | None
    """The mean difference over the differences' standard deviation (Cohen's d_z); None without a spread."""
    relative: float | None
    """The mean difference over the reference's mean; None if that is 0."""
    verdict: Literal["better", "worse", "more", "less", "can't tell"]
    """What the interval says: better or worse, or more or less of a measure that has no better."""


def difference(ours: Sequence[RunSummary], theirs: Sequence[RunSummary], metric: str) -> Difference | None:
    """Subtract ``theirs`` from ``ours``, paired by seed; None without a seed in common.

    One seed gives no interval and the verdict "can't tell". A run is not compared with itself.
    """
    reference = {run.seed: run for run in theirs}
    shared = [(run, reference[run.seed]) for run in ours if run.seed in reference]
    pairs = [(mine, other) for mine, other in shared if mine.id != other.id]
    if not pairs:
        return None
    changes = [mine.measure(metric).value - other.measure(metric).value for mine, other in pairs]
    estimate = interval(changes)
    spread = stdev(changes) if len(changes) > 1 else 0.0
    base = abs(fmean(other.measure(metric).value for _, other in pairs))
    return Difference(
        against=theirs[0].method.name,
        metric=metric,
        seeds=tuple(mine.seed for mine, _ in pairs),
        interval=estimate,
        effect=estimate.mean / spread if spread > EQUAL else None,
        relative=estimate.mean / base if base else None,
        verdict=_verdict(estimate, ours[0].measure(metric).better),
    )


def _verdict(estimate: Interval, better: str) -> Literal["better", "worse", "more", "less", "can't tell"]:
    if not estimate.clear:
        return "can't tell"
    if better == "neither":
        return "more" if estimate.mean > 0 else "less"
    return "better" if (estimate.mean > 0) == (better == "higher") else "worse"


@dataclass(frozen=True)
class Compared:
    """A row of a comparison: a group's runs, what they come to, and how they differ from the reference's."""

    runs: Sequence[RunSummary]
    """The runs, a seed each."""
    summary: Summary
    """What they come to."""
    difference: Difference | None
    """Their difference from the reference's runs; None without a seed in common."""


def compare(
    sources: Mapping[str, Iterable[RunSummary]],
    reference: Iterable[RunSummary] = (),
    *,
    metric: str | None = None,
    target: float | None = None,
) -> list[Compared]:
    """Make a row for each group of the runs of ``sources``, by scenario, best first.

    ``reference`` holds the runs of one contender, with which the others on the same scenario are compared.
    """
    groups = grouped(sources)
    against: dict[str, list[RunSummary]] = defaultdict(list)
    for run in reference:
        against[run.setting.key].append(run)
    anchors: dict[tuple[str, ...], list[RunSummary]] = {}
    for source, group in groups:  # the first with a name stays its anchor
        anchor = group[0].setting.key, group[0].method.name
        anchors.setdefault((*anchor, source), group)
        anchors.setdefault(anchor, group)
    rows = []
    for source, group in groups:
        setting, track = group[0].setting.key, ANCHORS[group[0].scenario.track]
        floors, ceilings = (
            {run.seed: run for run in anchors.get((*anchor, source)) or anchors.get(anchor) or ()}
            for anchor in ((setting, name) for name in (track.floor, track.ceiling))
        )
        row_summary = replace(summary(group, metric, floors, ceilings, target), source=source)
        change = difference(group, against[setting], row_summary.metric)
        rows.append(Compared(group, row_summary, change))
    return sorted(rows, key=lambda row: _order(row.summary))


def _order(row: Summary) -> tuple[Any, ...]:
    """By scenario, as published before changed, then best first."""
    changes = bool(row.changes), canonical_json(row.changes), row.fingerprint, row.setting
    return row.scenario, row.metric, changes, -row.mean * row.sign, row.method, row.plugin, row.source


def summary(
    runs: Sequence[RunSummary],
    metric: str | None = None,
    floors: Mapping[int, RunSummary] = NONE,
    ceilings: Mapping[int, RunSummary] = NONE,
    target: float | None = None,
) -> Summary:
    """Summarise runs of one method on one scenario, a seed each; ``floors`` and ``ceilings`` are the
    anchors' runs."""
    first = runs[0]
    name = metric or first.primary
    measures = [run.measure(name) for run in runs]
    values = [measure.value for measure in measures]
    starts = {run.seed: start_of(run, name, floors) for run in runs}
    tops = {seed: run.measure(name).value for seed, run in ceilings.items()}
    gaps = {
        run.seed: (value - start) / (tops[run.seed] - start)
        for run, value in zip(runs, values, strict=True)
        if (start := starts[run.seed]) is not None and tops.get(run.seed, start) != start
    }
    if target is None:
        target = halfway(name, floors, ceilings)
    by_client = (first.primary, f"{first.primary}/{OWN}")
    spreads = [run.spread for run in runs if run.spread is not None and name in by_client]
    known = [start for start in starts.values() if start is not None]
    closed = list(gaps.values())
    return Summary(
        scenario=first.title,
        fingerprint=first.scenario.fingerprint,
        setting=first.setting.key,
        method=first.method.name,
        plugin=first.method.provider.plugin,
        options=first.method.options,
        metric=name,
        better=measures[0].better,
        sign=-1 if measures[0].better == "lower" else 1,
        seeds=tuple(run.seed for run in runs),
        mean=fmean(values),
        se=standard_error(values),
        item_se=_mean([measure.se for measure in measures if measure.se is not None]),
        start=_mean(known),
        gaps=gaps,
        gap_closed=_mean(closed),
        gap_closed_se=standard_error(closed),
        worst_client=_mean([spread.worst for spread in spreads]),
        p10_client=_mean([spread.p10 for spread in spreads]),
        **_learning(runs, name, target),
        uplink_megabytes=fmean(run.costs.uplink_bytes for run in runs) / 1e6,
        client_examples=fmean(run.costs.client_examples for run in runs),
        seconds=fmean(run.seconds for run in runs),
        changes=first.scenario.changes,
    )


def start_of(run: RunSummary, name: str, floors: Mapping[int, RunSummary] = NONE) -> float | None:
    """Look up the measure before training: the floor's with the run's seed, or else the run's own round 0."""
    if run.seed in floors and name in floors[run.seed].measures:
        return floors[run.seed].measures[name].value
    return run.start.get(name)


def halfway(name: str, floors: Mapping[int, RunSummary], ceilings: Mapping[int, RunSummary]) -> float | None:
    """Compute the middle between the start and the ceiling, over the ceiling's seeds; None without a
    ceiling."""
    gaps = [(start_of(run, name, floors), run.measure(name).value) for run in ceilings.values()]
    return _mean([(start + top) / 2 for start, top in gaps if start is not None])


def _learning(runs: Sequence[RunSummary], name: str, target: float | None) -> dict[str, Any]:
    """Summarise stability and speed: means over the seeds, of speed over those that reached the target."""
    curves = [run.curves[name] for run in runs if name in run.curves]
    there = [] if target is None else [(c, r) for c in curves if (r := c.reaches(target)) is not None]
    uplink = _mean([c.uplink[r] for c, r in there])
    return {
        "curves": len(curves),
        "instability": _mean([c.instability for c in curves]),
        "target": target,
        "reached": len(there),
        "rounds_to_target": _mean([r for _, r in there]),
        "uplink_megabytes_to_target": None if uplink is None else uplink / 1e6,
    }


def _mean(values: Sequence[float]) -> float | None:
    return fmean(values) if values else None
