"""Whom a round of policy steps asked for rewards, as its record says."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from fedbench.api.reward_fuser import GOLD
from fedbench.results.records import Record, RoundEntry


def queried_sources(entry: RoundEntry) -> Mapping[str, int] | None:
    """How many answers each source was queried about; None if the entry does not say so."""
    queried: Any = entry.diagnostics.get("queried")
    if not isinstance(queried, Mapping) or not all(type(n) is int and n >= 0 for n in queried.values()):
        return None
    return queried


def queries_gold(record: Record) -> bool:
    """Whether the true reward was among the sources, which a privileged fuser alone may ask."""
    return any(GOLD in (queried_sources(entry) or ()) for entry in record.rounds[1:])
