"""Records of older schema versions, made into today's: a pure function for every step.

A new version adds the function that makes it of the one before, and a fixture of that one to the tests::

    def _from_1(values):
        '''2: wall_seconds is called seconds.'''
        renamed = {"seconds": values["wall_seconds"], "schema_version": 2}
        return {key: value for key, value in values.items() if key != "wall_seconds"} | renamed

    MIGRATIONS = (_from_1,)
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

Migration = Callable[[Mapping[str, Any]], Mapping[str, Any]]

MIGRATIONS: Sequence[Migration] = ()
"""The first makes version 2 of version 1, and so on."""


class UnknownVersion(ValueError):
    """A schema version that this fedbench does not read."""


def migrate(values: Mapping[str, Any], migrations: Sequence[Migration] = MIGRATIONS) -> Mapping[str, Any]:
    """A record's JSON in the newest schema version, whatever version it was written in."""
    version, newest = values.get("schema_version", 1), 1 + len(migrations)
    if type(version) is not int or not 1 <= version <= newest:
        raise UnknownVersion(f"{version!r:.20} is unknown, this fedbench reads versions up to {newest}")
    for step in migrations[version - 1 :]:
        values = step(values)
    return values
