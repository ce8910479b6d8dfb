"""A record as text: compact, and with line breaks where a diff needs them."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

WIDTH = 100
"""Characters of a value that is not broken, whatever is in it."""


def record_text(values: Mapping[str, Any]) -> str:
    """The JSON of a record: a line for each field of it, each round, each measure and each client."""
    fields = (f"{json.dumps(name)}:{_text(value, '')}" for name, value in values.items())
    return "{\n" + ",\n".join(fields) + "\n}\n"


def _text(value: Any, indent: str, depth: int = 3) -> str:
    """``value``; down to ``depth`` a long object or list of objects has a line for each of them."""
    compact = json.dumps(value, separators=(",", ":"), allow_nan=False)
    if not depth or len(compact) <= WIDTH or not any(map(_is_structured, _parts(value))):
        return compact
    inner = indent + " "
    if isinstance(value, dict):
        lines = [f"{inner}{json.dumps(name)}:{_text(part, inner, depth - 1)}" for name, part in value.items()]
        return "{\n" + ",\n".join(lines) + f"\n{indent}}}"
    return "[\n" + ",\n".join(inner + _text(part, inner, depth=0) for part in value) + f"\n{indent}]"


def _is_structured(value: Any) -> bool:
    """Whether this is an object, or a list of more than numbers and texts."""
    return isinstance(value, dict) or any(isinstance(part, dict | list) for part in _parts(value))


def _parts(value: Any) -> list[Any]:
    return list(value.values()) if isinstance(value, dict) else value if isinstance(value, list) else []
