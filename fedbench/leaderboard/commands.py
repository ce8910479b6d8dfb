"""The command that makes a record, as a person would type it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from fedbench.api.options import format_value
from fedbench.leaderboard.site.formats import ranges
from fedbench.results.anchors import sole_provider


def run_command(
    *,
    method: str,
    plugin: str,
    installed: Iterable[tuple[str, str]],
    scenarios: Sequence[str],
    seeds: Iterable[int],
    options: Mapping[str, Any],
) -> list[str]:
    """The words of ``fedbench run`` for these runs.

    ``options`` are those that differ from the defaults. ``plugin`` is named unless it alone provides the
    method among the ``installed`` ones, pairs of name and plugin.
    """
    words = ["fedbench", "run", "-m", method]
    if sole_provider(method, installed) != plugin:
        words[-1] = f"{plugin}/{method}"
    words += [word for scenario in scenarios for word in ("-s", scenario)]
    words += ["--seeds", ranges(tuple(sorted(set(seeds))))]
    return words + [word for key, value in options.items() for word in ("-o", f"{key}={format_value(value)}")]
