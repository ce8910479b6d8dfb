"""Several records beside each other: means over seeds with standard errors."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from math import sqrt
from statistics import fmean, stdev
from typing import Any

from fedbench.errors import UsageError
from fedbench.fingerprint import canonical_json
from fedbench.measures import Measure
from fedbench.results.curves import curve
from fedbench.results.record import Record

NONE: Mapping[int, Record] = {}
FLOOR, CEILING = "start", "centralized"
"""The anchors between which a method closes a gap. A record's own round 0 is a floor, too, where measured."""


def summarise(
    records: Iterable[Record], metric: str | None = None, target: float | None = None
) -> list[dict[str, Any]]:
    """A row per scenario and method (and option set): the metric's mean over seeds and its standard
    error between seeds, the share of the gap between start and ``centralized`` that it closes, the worst
    client, how steady it was, when it reached ``target``, and what the engine counted.

    ``target`` defaults to halfway between start and ``centralized``. Records of different fingerprints of
    one scenario never share a row. Rows come best first.
    """
    groups: dict[tuple[str, ...], dict[int, Record]] = defaultdict(dict)
    for record in records:
        if record.status != "completed":
            continue
        options = canonical_json(record.method.options)
        method = (record.method.name, record.method.provider.plugin, options)
        key = (record.scenario.name, record.scenario.fingerprint, *method)
        groups[key].setdefault(record.seed, record)
    anchors = {(key[1], key[2]): found for key, found in groups.items() if key[2] in (FLOOR, CEILING)}
    rows = [
        _row(
            [found[seed] for seed in sorted(found)],
            metric,
            anchors.get((key[1], FLOOR), {}),
            anchors.get((key[1], CEILING), {}),
            target,
        )
        for key, found in groups.items()
    ]
    if not rows:
        raise UsageError("there is no completed record to compare")
    return sorted(rows, key=_order)


def _order(row: dict[str, Any]) -> tuple[Any, ...]:
    """By scenario, as published before changed, then best first."""
    changes = bool(row["changes"]), canonical_json(row["changes"])
    return row["scenario"], row["metric"], changes, -row["mean"] * row["sign"], row["method"]


def measure_of(record: Record, name: str) -> Measure:
    """A record's final measure; :class:`UsageError` if it has none of this name."""
    measures = (record.rounds[-1].metrics if record.rounds else {}) | record.final
    if name not in measures:
        raise UsageError(
            f"a record of {record.method.name!r} on {record.scenario.name!r} has no metric {name!r}",
            fix=f"it has: {', '.join(measures)}",
        )
    return measures[name]


def start_of(record: Record, name: str, floors: Mapping[int, Record] = NONE) -> float | None:
    """The measure of the untouched start: from the record itself, or from the anchor's with its seed."""
    found = record.rounds[0].metrics.get(name) if record.rounds else None
    if found is None and record.seed in floors:
        found = floors[record.seed].final.get(name)
    return None if found is None else found.value


def standard_error(values: Sequence[float]) -> float | None:
    """Of the mean of ``values``; one value tells nothing."""
    return stdev(values) / sqrt(len(values)) if len(values) > 1 else None


def _row(
    records: list[Record],
    metric: str | None,
    floors: Mapping[int, Record],
    ceilings: Mapping[int, Record],
    target: float | None,
) -> dict[str, Any]:
    first = records[0]
    name = metric or first.primary
    found = [measure_of(record, name) for record in records]
    values = [measure.value for measure in found]
    starts = [start for record in records if (start := start_of(record, name, floors)) is not None]
    spreads = [record.spread for record in records if record.spread is not None and name == record.primary]
    tops = {seed: measure_of(record, name).value for seed, record in ceilings.items()}
    closed = [
        (value - start) / (tops[record.seed] - start)
        for record, value in zip(records, values, strict=True)
        if (start := start_of(record, name, floors)) is not None and tops.get(record.seed, start) != start
    ]
    if target is None:
        gaps = [(start_of(record, name, floors), tops[seed]) for seed, record in ceilings.items()]
        halves = [(start + top) / 2 for start, top in gaps if start is not None]
        target = fmean(halves) if halves else None
    return {
        "scenario": f"{first.scenario.name}@{first.scenario.version}",
        "method": first.method.name,
        "options": first.method.options,
        "metric": name,
        "sign": -1 if found[0].better == "lower" else 1,
        "seeds": [record.seed for record in records],
        "mean": fmean(values),
        "se": standard_error(values),
        "item_se": fmean(se) if (se := [m.se for m in found if m.se is not None]) else None,
        "start": fmean(starts) if starts else None,
        "gap_closed": fmean(closed) if closed else None,
        "gap_closed_se": standard_error(closed) if closed else None,
        "worst_client": fmean(spread.worst for spread in spreads) if spreads else None,
        "p10_client": fmean(spread.p10 for spread in spreads) if spreads else None,
        **_learning(records, name, target),
        "uplink_megabytes": fmean(record.costs.uplink_bytes for record in records) / 1e6,
        "client_examples": fmean(record.costs.client_examples for record in records),
        "seconds": fmean(record.wall_seconds for record in records),
        "changes": first.scenario.changes,
    }


def _learning(records: Sequence[Record], name: str, target: float | None) -> dict[str, Any]:
    """How steadily and how soon: means over the seeds, of those that reached the target at all."""
    curves = [found for record in records if (found := curve(record, name)) is not None]
    there = [] if target is None else [(c, r) for c in curves if (r := c.reaches(target)) is not None]
    return {
        "curves": len(curves),
        "instability": fmean(c.instability for c in curves) if curves else None,
        "target": target,
        "reached": len(there),
        "rounds_to_target": fmean(r for _, r in there) if there else None,
        "uplink_megabytes_to_target": fmean(c.uplink[r] for c, r in there) / 1e6 if there else None,
    }
