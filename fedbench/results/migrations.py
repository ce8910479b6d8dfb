"""Records of older schema versions, made into today's: a pure function for every step.

A new version adds the function that makes it of the one before, and a fixture of that one to the tests.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from fedbench.results.columns import by_column
from fedbench.results.parsing import content_id

Migration = Callable[[Mapping[str, Any]], Mapping[str, Any]]


class UnknownVersion(ValueError):
    """A schema version that this fedbench does not read."""


class Malformed(ValueError):
    """A record of an older schema version that is not what that version says."""


def migrate(values: Mapping[str, Any], migrations: Sequence[Migration] | None = None) -> Mapping[str, Any]:
    """A record's JSON in the newest schema version, whatever version it was written in."""
    steps = MIGRATIONS if migrations is None else migrations
    version, newest = values.get("schema_version", 1), 1 + len(steps)
    if type(version) is not int or not 1 <= version <= newest:
        raise UnknownVersion(f"{version!r:.20} is unknown, this fedbench reads versions up to {newest}")
    for number, step in enumerate(steps[version - 1 :], version):
        try:
            values = step(values)
        except (AttributeError, KeyError, TypeError, ValueError, ArithmeticError) as error:
            raise Malformed(f"it is no record of version {number}: {error}") from error
    return values


def _from_1(values: Mapping[str, Any]) -> Mapping[str, Any]:
    """Version 2: rounds by column, new names of two diagnostics, and fields that version 1 did not record.

    ``migrated_from`` keeps the old ``record_id``. The new one is the hash of the new content, unless the old
    one was not that of the old: a record that was changed after it was written still shows it.
    """
    renamed = [
        {**entry, "diagnostics": _renamed(entry.get("diagnostics", {}), values)} for entry in values["rounds"]
    ]
    made = {
        **values,
        "schema_version": 2,
        "migrated_from": {"schema_version": 1, "record_id": values["record_id"]},
        "identity": None,
        "rounds": by_column(renamed),
        "validation": None,
        "items": None,
    }
    sealed = content_id(values) == values["record_id"]
    return {**made, "record_id": content_id(made) if sealed else values["record_id"]}


def _renamed(diagnostics: Mapping[str, Any], values: Mapping[str, Any]) -> dict[str, Any]:
    """``diagnostics`` of a round, with the names of version 2."""
    names = {"asked": "queried"} if values["scenario"]["track"] == "preference" else {}
    names |= {"told": "informative"} if values["method"]["name"] == "mor" else {}
    return {names.get(name, name): value for name, value in diagnostics.items()}


MIGRATIONS: Sequence[Migration] = (_from_1,)
"""The first makes version 2 of version 1, and so on."""
