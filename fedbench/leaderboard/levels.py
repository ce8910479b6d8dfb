"""The verification ladder: what has been checked of a record."""

from __future__ import annotations

from enum import IntEnum


class Level(IntEnum):
    """Each level includes the ones before it. ``retired`` is off the ladder: a record of an earlier version
    of its scenario or method, which stays where it is and counts on no board."""

    retired = -1
    unverified = 0
    valid = 1
    consistent = 2
    replayed = 3
    reproduced = 4
