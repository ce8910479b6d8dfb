"""Ranks, shared by entries whose paired difference is not distinguishable from zero."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from fedbench.leaderboard.standings import Row, Score
from fedbench.results.statistics import interval


def shared_ranks(entries: Sequence[Row | Score]) -> dict[str, int]:
    """Rank ``entries``, which come best first; the ranks by the contender's key.

    An entry shares the rank of the first one of that rank unless the 95 % interval of their difference,
    paired by seed, leaves out zero.
    """
    ranks: dict[str, int] = {}
    leader = None
    for position, entry in enumerate(entries, start=1):
        if leader is None or _differ(leader.gaps, entry.gaps):
            leader, number = entry, position
        ranks[entry.contender.key] = number
    return ranks


def _differ(one: Mapping[int, float], other: Mapping[int, float]) -> bool:
    return interval([one[seed] - other[seed] for seed in sorted(set(one) & set(other))]).clear
