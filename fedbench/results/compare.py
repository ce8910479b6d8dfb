"""Several records beside each other: means over seeds with standard errors."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from math import sqrt
from statistics import fmean, stdev
from typing import Any

from fedbench.errors import UsageError
from fedbench.fingerprint import canonical_json
from fedbench.results.record import Record


def summarise(records: Iterable[Record], metric: str | None = None) -> list[dict[str, Any]]:
    """A row per scenario and method (and option set): the metric's mean over seeds and its standard
    error between seeds, the untouched start, the worst client, and what the engine counted.

    Records of different fingerprints of one scenario never share a row. Rows come best first.
    """
    groups: dict[tuple[str, ...], dict[int, Record]] = defaultdict(dict)
    for record in records:
        if record.status != "completed":
            continue
        options = canonical_json(record.method.options)
        method = (record.method.name, record.method.provider.plugin, options)
        key = (record.scenario.name, record.scenario.fingerprint, *method)
        groups[key].setdefault(record.seed, record)
    rows = [_row(list(group.values()), metric) for group in groups.values()]
    if not rows:
        raise UsageError("there is no completed record to compare")
    return sorted(
        rows, key=lambda row: (row["scenario"], row["metric"], -row["mean"] * row["sign"], row["method"])
    )


def _row(records: list[Record], metric: str | None) -> dict[str, Any]:
    first = records[0]
    name = metric or first.primary
    found = []
    for record in records:
        measures = (record.rounds[-1].metrics if record.rounds else {}) | record.final
        if name not in measures:
            raise UsageError(
                f"a record of {record.method.name!r} on {record.scenario.name!r} has no metric {name!r}",
                fix=f"it has: {', '.join(measures)}",
            )
        found.append(measures[name])
    values = [measure.value for measure in found]
    starts = [r.rounds[0].metrics[name].value for r in records if r.rounds and name in r.rounds[0].metrics]
    worst = [r.spread.worst for r in records if r.spread is not None and name == r.primary]
    return {
        "scenario": f"{first.scenario.name}@{first.scenario.version}",
        "method": first.method.name,
        "options": first.method.options,
        "metric": name,
        "sign": -1 if found[0].better == "lower" else 1,
        "seeds": sorted(record.seed for record in records),
        "mean": fmean(values),
        "se": stdev(values) / sqrt(len(values)) if len(values) > 1 else None,
        "item_se": fmean(se) if (se := [m.se for m in found if m.se is not None]) else None,
        "start": fmean(starts) if starts else None,
        "worst_client": fmean(worst) if worst else None,
        "uplink_megabytes": fmean(record.costs.uplink_bytes for record in records) / 1e6,
        "client_examples": fmean(record.costs.client_examples for record in records),
        "seconds": fmean(record.wall_seconds for record in records),
        "changes": first.scenario.changes,
    }
