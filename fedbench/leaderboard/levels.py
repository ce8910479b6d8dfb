"""The verification ladder: what has been checked of a record."""

from __future__ import annotations

from enum import IntEnum


class Level(IntEnum):
    """Each level includes the ones before it."""

    unverified = 0
    valid = 1
    consistent = 2
    replayed = 3
    reproduced = 4
