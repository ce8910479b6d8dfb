"""Numbers read out of a record of the preference track."""

from __future__ import annotations

from fedbench.results.records import Record
from results import Reader, final, primary

MEGABYTE = 1e6


def worst(record: Record) -> float | None:
    """The primary measure of the worst client."""
    return record.spread.worst if record.spread else None


MEASURES: dict[str, Reader] = {
    "own tasks": primary,
    "held-out": final("test/held-out/exact_match"),
    "overall": final("test/overall/exact_match"),
    "win rate": final("test/own/win_rate"),
    "worst client": worst,
}


def at_start(name: str) -> Reader:
    """Reads measure ``name`` of the routing as it was fitted, before any feedback."""
    return lambda record: record.rounds[0].diagnostics.get("routing", {}).get(name)


def first(name: str) -> Reader:
    """Reads measure ``name`` in the first round that has it."""
    return lambda record: next(iter(_measured(record, name)), None)


def last(name: str) -> Reader:
    """Reads measure ``name`` in the last round that has it."""
    return lambda record: next(reversed(_measured(record, name)), None)


def after_first_round(record: Record) -> float | None:
    """The primary measure after the first round."""
    values = _measured(record, record.primary)
    return values[1] if len(values) > 1 else None


def _measured(record: Record, name: str) -> list[float]:
    return [entry.metrics[name].value for entry in record.rounds if name in entry.metrics]


def of_client(client: int, name: str) -> Reader:
    """Reads value ``name`` of a client's reward model from the diagnostics of round 0."""

    def read(record: Record) -> float | None:
        models = record.rounds[0].diagnostics.get("reward_models", [])
        return next((model[name] for model in models if model["client"] == client), None)

    return read


def best_client(record: Record) -> float | None:
    """Pairwise accuracy of the best client's reward model on all comparisons."""
    models = record.rounds[0].diagnostics.get("reward_models", [])
    return max((model["accuracy"] for model in models), default=None)


def called_good(record: Record) -> float | None:
    """Of the steps after which the router had feedback, the share whose feedback was good."""
    notes = record.rounds[-1].diagnostics
    return notes["good"] / notes["informative"] if notes.get("informative") else None


def up(record: Record) -> float:
    """Megabytes up over the whole run."""
    return record.costs.uplink_bytes / MEGABYTE


def down(record: Record) -> float:
    """Megabytes down over the whole run."""
    return record.costs.downlink_bytes / MEGABYTE


def up_before(record: Record) -> float:
    """Megabytes up before the policy's first step."""
    return record.rounds[0].costs.uplink_bytes / MEGABYTE


def down_before(record: Record) -> float:
    """Megabytes down before the policy's first step."""
    return record.rounds[0].costs.downlink_bytes / MEGABYTE


def moved(record: Record) -> float:
    """Megabytes in both directions."""
    return up(record) + down(record)


def before(record: Record) -> float:
    """Megabytes in both directions before the policy's first step."""
    return up_before(record) + down_before(record)
