"""Conversion between rounds as a run has them and the table of a record's file, in plain JSON values.

:func:`by_column` and :func:`by_round` are each other's inverse, to the last bit of every number.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any

from fedbench.api.metrics import Costs

Json = dict[str, Any]

EMPTY: Mapping[str, Any] = {
    "cohort": [],
    "left_out": {},
    "came_late": [],
    "attackers": [],
    "loss": None,
    "diagnostics": {},
    "undefined": [],
}
"""Fields that a line of the log leaves out when they have these values."""

COLUMNS = ("costs", "metrics", "clients")
"""Fields of a round that are columns of the table."""


def by_column(rounds: Sequence[Mapping[str, Any]]) -> Json:
    """The :class:`fedbench.results.round_table.RoundTable` of ``rounds``, each a ``RoundEntry``, as JSON.

    ValueError for what a table can't hold: a measure that changes its unit or direction between rounds,
    clients that are measured in different units, unknown fields of a measure, unknown costs.
    """
    return {
        "log": [_line(entry) for entry in rounds],
        "costs": _cost_columns([entry.get("costs", {}) for entry in rounds]),
        "metrics": {
            name: {"unit": unit, "better": better, **column}
            for name, ((unit, better), column) in _measure_columns(rounds, "metrics").items()
        },
        "clients": _client_columns(_measure_columns(rounds, "clients")),
    }


def by_round(table: Mapping[str, Any]) -> list[Json]:
    """The ``RoundEntry`` of each round in a table, as JSON; the inverse of :func:`by_column`."""
    rounds: list[Json] = [
        {**EMPTY, **line, "costs": {}, "metrics": {}, "clients": {}} for line in table["log"]
    ]
    for name, values in table["costs"].items():
        for entry, value in zip(rounds, values, strict=True):
            entry["costs"][name] = value
    for name, column in table["metrics"].items():
        for entry, measure in zip(rounds, _measures(column, column), strict=True):
            if measure:
                entry["metrics"][name] = measure
    clients = table["clients"]
    for client, column in clients["columns"].items() if clients else ():
        for entry, measure in zip(rounds, _measures(column, clients), strict=True):
            if measure:
                entry["clients"][client] = measure
    return rounds


def _line(entry: Mapping[str, Any]) -> Json:
    return {
        name: value
        for name, value in entry.items()
        if name not in COLUMNS and not (name in EMPTY and value == EMPTY[name])
    }


def _cost_columns(rounds: Sequence[Mapping[str, Any]]) -> Json:
    nothing = asdict(Costs())
    if unknown := {name for costs in rounds for name in costs} - set(nothing):
        raise ValueError(f"unknown costs {min(unknown)}")
    return {name: [costs.get(name, value) for costs in rounds] for name, value in nothing.items()}


def _measure_columns(
    rounds: Sequence[Mapping[str, Any]], field: str
) -> dict[str, tuple[tuple[str, str], Json]]:
    """By name: (unit, direction) and column of every measure in ``field`` of a round."""
    measured = [entry.get(field, {}) for entry in rounds]
    names = dict.fromkeys(name for measures in measured for name in measures)
    return {name: _column(name, [measures.get(name) for measures in measured]) for name in names}


def _column(name: str, measures: Sequence[Mapping[str, Any] | None]) -> tuple[tuple[str, str], Json]:
    complete = [None if measure is None else {"better": "higher", **measure} for measure in measures]
    there = [measure for measure in complete if measure is not None]
    if any(measure.keys() != {"value", "se", "n", "unit", "better"} for measure in there):
        raise ValueError(f"{name} is no measure of value, se, n, unit and better")
    kinds = {(measure["unit"], measure["better"]) for measure in there}
    if len(kinds) > 1:
        raise ValueError(f"{name} changes its unit or direction between rounds")
    (kind,) = kinds
    values, sizes, ses = (
        [None if measure is None else measure[key] for measure in complete] for key in ("value", "n", "se")
    )
    counts = _counts(values, sizes) if kind[0] == "share" else None
    numbers = {"values": values} if counts is None else {"counts": counts}
    different = {measure["n"] for measure in there}
    return kind, {"n": sizes if len(different) > 1 else there[0]["n"], **numbers, "ses": ses}


def _counts(values: Sequence[float | None], sizes: Sequence[int | None]) -> list[int | None] | None:
    """Whole numbers that divided by ``sizes`` give exactly ``values``; None if there are none."""
    counts: list[int | None] = []
    for value, n in zip(values, sizes, strict=True):
        if value is None or n is None:
            counts.append(None)
            continue
        count = round(value * n)
        if n < 1 or not 0 <= count <= n or repr(count / n) != repr(float(value)):  # -0.0 is not 0.0
            return None
        counts.append(count)
    return counts


def _client_columns(columns: Mapping[str, tuple[tuple[str, str], Json]]) -> Json | None:
    kinds = {kind for kind, _ in columns.values()}
    if len(kinds) > 1:
        raise ValueError("clients are measured in different units or directions")
    if not kinds:
        return None
    ((unit, better),) = kinds
    return {
        "unit": unit,
        "better": better,
        "columns": {name: column for name, (_, column) in columns.items()},
    }


def _measures(column: Mapping[str, Any], kind: Mapping[str, Any]) -> list[Json | None]:
    """A column's measure in each round; ``kind`` has its unit and direction."""
    counts, n, ses = column.get("counts"), column["n"], column["ses"]
    numbers = column["values"] if counts is None else counts
    sizes = n if isinstance(n, list) else [n] * len(numbers)
    return [
        None
        if number is None
        else {
            "value": number if counts is None else number / size,
            "se": se,
            "n": size,
            "unit": kind["unit"],
            "better": kind["better"],
        }
        for number, size, se in zip(numbers, sizes, ses, strict=True)
    ]
