"""The ``fedbench run`` that makes a record, as a person would type it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from fedbench.api.options import format_value


def run_command(
    *,
    methods: Iterable[str],
    scenarios: Iterable[str],
    seeds: Iterable[int],
    options: Mapping[str, Any],
    changes: Mapping[str, Any],
) -> list[str]:
    """The words of ``fedbench run`` for these runs.

    ``options`` are those that differ from the defaults, ``changes`` those of the scenarios, by dotted path.
    """
    words = ["fedbench", "run"]
    words += [word for method in methods for word in ("-m", method)]
    words += [word for scenario in scenarios for word in ("-s", scenario)]
    words += ["--seeds", seed_ranges(sorted(set(seeds)))]
    words += [word for assignment in _assignments(options) for word in ("-o", assignment)]
    return words + [word for assignment in _assignments(changes) for word in ("--set", assignment)]


def seed_ranges(values: Sequence[int]) -> str:
    """Sorted seeds as the command line takes them: ``0-4`` or ``0,2,5``."""
    whole = len(values) > 1 and list(values) == list(range(values[0], values[-1] + 1))
    return f"{values[0]}-{values[-1]}" if whole else ",".join(map(str, values))


def _assignments(values: Mapping[str, Any]) -> list[str]:
    return [f"{key}={format_value(value)}" for key, value in values.items()]
