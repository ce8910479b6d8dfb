"""How values are written on a page."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from fedbench.api.options import format_value
from fedbench.verification.safety import cut

NOTHING = "–"
LONGEST = 400
"""Most letters of one value on a page; a record may hold longer ones."""


def number(value: float | None, digits: int = 2) -> str:
    """``0.84``, or a dash where there is no number; a huge one as ``1.2e+30``."""
    if value is None:
        return NOTHING
    text = f"{value:.1e}" if abs(value) >= 1e9 else f"{value:,.{digits}f}"
    return text.replace("-", "−", 1) if text.startswith("-") else text


def duration(seconds: float) -> str:
    """``57 s``, ``12 min``, ``3.4 h``."""
    if seconds < 120:
        return f"{number(seconds, 0)} s"
    return f"{number(seconds / 60, 0)} min" if seconds < 7200 else f"{number(seconds / 3600, 1)} h"


def counted(number: int, what: str) -> str:
    """``1 record``, ``3 records``, ``2 entries``."""
    many = f"{what[:-1]}ies" if what.endswith("y") else f"{what}s"
    return f"{number:,} {what if number == 1 else many}"


def short(text: str) -> str:
    """``text``, cut to :data:`LONGEST` letters."""
    return cut(text, LONGEST)


def value(setting: Any) -> str:
    """An option or setting, as the command line takes it."""
    return short(format_value(setting))


def flat(values: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, str]]:
    """Nested values as (dotted key, text), without None and empty lists."""
    for key, inner in values.items():
        if isinstance(inner, Mapping):
            yield from flat(inner, f"{prefix}{short(key)}.")
        elif isinstance(inner, list | tuple) and inner:
            yield f"{prefix}{short(key)}", short(", ".join(map(value, inner)))
        elif inner is not None and inner != []:
            yield f"{prefix}{short(key)}", value(inner)
