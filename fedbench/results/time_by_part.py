"""Where a run's time went."""

from __future__ import annotations

from fedbench.results.records import Record


def seconds_by_part(record: Record) -> dict[str, float]:
    """Give the wall seconds of local training, of the server, of evaluation in rounds, and of all else: the
    suites that are measured at the end, checkpoints and logs."""
    parts = {
        "training": record.costs.client_seconds,
        "server": record.costs.server_seconds,
        "evaluation in rounds": record.costs.evaluation_seconds,
    }
    return parts | {"final suites, checkpoints": max(0.0, record.wall_seconds - sum(parts.values()))}
