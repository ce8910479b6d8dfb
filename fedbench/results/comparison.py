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
from fedbench.results.records import Record
from fedbench.results.run_summary import RunSummary, run_of
from fedbench.results.statistics import EQUAL, Interval, interval, standard_error

NONE: Mapping[int, RunSummary] = {}


@dataclass(frozen=True)
class Summary:
    """A method's runs on a scenario, over seeds. ``se`` is between seeds, ``item_se`` within a run.
    ``source`` is :func:`grouped`'s.

    ``gaps``: for each seed with both anchors, the share of the gap between floor and ceiling that was
    closed. ``reached``: how many of the runs with a curve reached ``target``; the way there is their mean.
    """

    scenario: str
    fingerprint: str
    method: str
    plugin: str
    options: Mapping[str, Any]
    metric: str
    better: str
    sign: int
    seeds: tuple[int, ...]
    mean: float
    se: float | None
    item_se: float | None
    start: float | None
    gaps: Mapping[int, float]
    gap_closed: float | None
    gap_closed_se: float | None
    worst_client: float | None
    p10_client: float | None
    curves: int
    instability: float | None
    target: float | None
    reached: int
    rounds_to_target: float | None
    uplink_megabytes_to_target: float | None
    uplink_megabytes: float
    client_examples: float
    seconds: float
    changes: Mapping[str, Any]
    source: str = ""

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
"""Scenario, its fingerprint, method, plugin, options."""


def grouped(sources: Mapping[str, Iterable[RunSummary]]) -> list[tuple[str, list[RunSummary]]]:
    """Completed runs by scenario and contender, a run for each seed, in the order of the seeds.

    Runs of different fingerprints of one scenario are never in one group. Sources that hold other records of
    the same seed make a group each, with the source's name; else that is empty.
    """
    found: dict[Key, dict[str, dict[int, RunSummary]]] = {}
    for source, runs in sources.items():
        for run in runs:
            if run.status != "completed":
                continue
            key = (run.scenario.name, run.scenario.fingerprint, *run.contender)
            first = found.setdefault(key, {}).setdefault(source, {}).setdefault(run.seed, run)
            if first.id != run.id:
                raise UsageError(
                    f"two records of {run.method.name} on {run.title} with seed {run.seed}",
                    why=f"{first.path} and {run.path}", fix="name their folders apart, to compare them",
                )  # fmt: skip
    if not found:
        raise UsageError("there is no completed record to compare")
    groups = []
    for parts in map(_different, found.values()):
        whole = {seed: run for part in parts.values() for seed, run in part.items()}
        apart = any(whole[seed].id != run.id for part in parts.values() for seed, run in part.items())
        for source, part in parts.items() if apart else [("", whole)]:
            groups.append((source, [part[seed] for seed in sorted(part)]))
    return groups


def _different(parts: Mapping[str, Mapping[int, RunSummary]]) -> Mapping[str, Mapping[int, RunSummary]]:
    """Without those that hold nothing but what one before them holds."""
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
    runs = {"": map(run_of, records)}
    return [row.summary for row in compare(runs, metric=metric, target=target)]


@dataclass(frozen=True)
class Difference:
    """A method's measure minus the reference's, over the seeds that both have.

    ``effect`` is the mean over the standard deviation of the differences (Cohen's d_z), ``relative`` over
    the reference's mean; None where that is nothing to divide by. Positive is more, ``verdict`` knows
    whether more is better; of a measure for which neither is, it says which.
    """

    against: str
    metric: str
    seeds: tuple[int, ...]
    interval: Interval
    effect: float | None
    relative: float | None
    verdict: Literal["better", "worse", "more", "less", "can't tell"]


def difference(ours: Sequence[RunSummary], theirs: Sequence[RunSummary], metric: str) -> Difference | None:
    """Paired by seed; None without a seed in common. With one seed nobody can tell. A run is not held
    against itself."""
    reference = {run.seed: run for run in theirs}
    shared = [(run, reference[run.seed]) for run in ours if run.seed in reference]
    pairs = [(mine, other) for mine, other in shared if mine.id != other.id]
    if not pairs:
        return None
    changes = [mine.measure(metric).value - other.measure(metric).value for mine, other in pairs]
    found = interval(changes)
    spread = stdev(changes) if len(changes) > 1 else 0.0
    base = abs(fmean(other.measure(metric).value for _, other in pairs))
    return Difference(
        against=theirs[0].method.name,
        metric=metric,
        seeds=tuple(mine.seed for mine, _ in pairs),
        interval=found,
        effect=found.mean / spread if spread > EQUAL else None,
        relative=found.mean / base if base else None,
        verdict=_verdict(found, ours[0].measure(metric).better),
    )


def _verdict(found: Interval, better: str) -> Literal["better", "worse", "more", "less", "can't tell"]:
    if not found.clear:
        return "can't tell"
    if better == "neither":
        return "more" if found.mean > 0 else "less"
    return "better" if (found.mean > 0) == (better == "higher") else "worse"


@dataclass(frozen=True)
class Compared:
    """A row of a comparison: a group's runs, what they come to, and how they differ from the reference's."""

    runs: Sequence[RunSummary]
    summary: Summary
    difference: Difference | None


def compare(
    sources: Mapping[str, Iterable[RunSummary]],
    reference: Iterable[RunSummary] = (),
    *,
    metric: str | None = None,
    target: float | None = None,
) -> list[Compared]:
    """A row for each group of the runs of ``sources``, by scenario, best first. ``reference`` holds the runs
    of one contender, against whose runs on the same scenario the others are held."""
    groups = grouped(sources)
    against: dict[str, list[RunSummary]] = defaultdict(list)
    for run in reference:
        against[run.scenario.fingerprint].append(run)
    anchors: dict[tuple[str, ...], list[RunSummary]] = {}
    for source, found in groups:  # the first of a name: nobody else's moves it
        anchor = found[0].scenario.fingerprint, found[0].method.name
        anchors.setdefault((*anchor, source), found)
        anchors.setdefault(anchor, found)
    rows = []
    for source, found in groups:
        scenario = found[0].scenario
        track = ANCHORS[scenario.track]
        floors, ceilings = (
            {run.seed: run for run in anchors.get((*anchor, source)) or anchors.get(anchor) or ()}
            for anchor in ((scenario.fingerprint, name) for name in (track.floor, track.ceiling))
        )
        told = replace(summary(found, metric, floors, ceilings, target), source=source)
        held = difference(found, against[scenario.fingerprint], told.metric)
        rows.append(Compared(found, told, held))
    return sorted(rows, key=lambda row: _order(row.summary))


def _order(row: Summary) -> tuple[Any, ...]:
    """By scenario, as published before changed, then best first."""
    changes = bool(row.changes), canonical_json(row.changes), row.fingerprint
    return row.scenario, row.metric, changes, -row.mean * row.sign, row.method, row.plugin, row.source


def summary(
    runs: Sequence[RunSummary],
    metric: str | None = None,
    floors: Mapping[int, RunSummary] = NONE,
    ceilings: Mapping[int, RunSummary] = NONE,
    target: float | None = None,
) -> Summary:
    """Runs of one method on one scenario, a seed each; ``floors`` and ``ceilings`` are the anchors' runs."""
    first = runs[0]
    name = metric or first.primary
    found = [run.measure(name) for run in runs]
    values = [measure.value for measure in found]
    starts = {run.seed: start_of(run, name, floors) for run in runs}
    tops = {seed: run.measure(name).value for seed, run in ceilings.items()}
    gaps = {
        run.seed: (value - start) / (tops[run.seed] - start)
        for run, value in zip(runs, values, strict=True)
        if (start := starts[run.seed]) is not None and tops.get(run.seed, start) != start
    }
    if target is None:
        target = halfway(name, floors, ceilings)
    spreads = [run.spread for run in runs if run.spread is not None and name == run.primary]
    known = [start for start in starts.values() if start is not None]
    closed = list(gaps.values())
    return Summary(
        scenario=first.title,
        fingerprint=first.scenario.fingerprint,
        method=first.method.name,
        plugin=first.method.provider.plugin,
        options=first.method.options,
        metric=name,
        better=found[0].better,
        sign=-1 if found[0].better == "lower" else 1,
        seeds=tuple(run.seed for run in runs),
        mean=fmean(values),
        se=standard_error(values),
        item_se=_mean([measure.se for measure in found if measure.se is not None]),
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
    """The measure of the untouched start: the anchor's with the run's seed, or else the run's own."""
    if run.seed in floors and name in floors[run.seed].measures:
        return floors[run.seed].measures[name].value
    return run.start.get(name)


def halfway(name: str, floors: Mapping[int, RunSummary], ceilings: Mapping[int, RunSummary]) -> float | None:
    """The middle between the start and the ceiling, over the ceiling's seeds."""
    gaps = [(start_of(run, name, floors), run.measure(name).value) for run in ceilings.values()]
    return _mean([(start + top) / 2 for start, top in gaps if start is not None])


def _learning(runs: Sequence[RunSummary], name: str, target: float | None) -> dict[str, Any]:
    """How steadily and how soon: means over the seeds, of those that reached the target at all."""
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
