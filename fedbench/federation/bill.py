"""How many numbers a client receives and sends in a round. No torch: runs and verification count alike."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field


@dataclass(frozen=True)
class Bill:
    """What a method declares to travel, by numbers."""

    down: Mapping[str, int]
    """What each client receives, by name."""
    up: Mapping[str, int]
    """What each client sends, by name."""
    turns: Sequence[int] = ()
    """Of the parameters, how many go up in one of the rounds that take turns only; empty: all go in each."""
    down_by_rank: Mapping[int, int] = field(default_factory=dict)
    """Of the parameters, how many a client whose adapters have a rank receives."""
    up_by_rank: Mapping[int, int] = field(default_factory=dict)
    """Of the parameters, how many such a client sends."""
    ranks: Sequence[int] = ()
    """Every client's rank, where they differ."""

    def up_in(self, client: int, round: int) -> int:
        """Count the numbers that ``client`` sends in ``round`` (from 1)."""
        params = self.up_by_rank[self.ranks[client]] if self.ranks else self.up.get("params", 0)
        if self.turns:
            params -= sum(self.turns) - self.turns[(round - 1) % len(self.turns)]
        return params + _beside(self.up)

    def down_in(self, client: int, round: int, took_part: int) -> int:
        """Count the numbers that ``client``, who last took part in round ``took_part`` (0: never), receives
        in ``round``: with turns, the parts that have been trained since."""
        params = self.down_by_rank[self.ranks[client]] if self.ranks else self.down.get("params", 0)
        if self.turns and took_part:
            trained = {(number - 1) % len(self.turns) for number in range(took_part, round)}
            params -= sum(size for part, size in enumerate(self.turns) if part not in trained)
        return params + _beside(self.down)


def _beside(numbers: Mapping[str, int]) -> int:
    """Count what travels beside the parameters."""
    return sum(count for name, count in numbers.items() if name != "params")


def owed(numbers: int, sent: int, whole: int) -> int:
    """Count what a client is sent of ``numbers`` so far if it was offered ``sent``; at most the ``whole``."""
    return min(numbers - sent, whole)
