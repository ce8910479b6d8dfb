"""Reading JSON that nobody vouches for: bounded, strict, and nothing in it is more than data."""

from __future__ import annotations

import json
import os
import re
import stat
from collections.abc import Mapping
from math import isfinite
from pathlib import Path
from typing import Any, NoReturn

from fedbench.errors import UsageError
from fedbench.fingerprint import sha256_json

MOST_BYTES = 8_000_000
"""Of one record that is handed in; a hundred clients over ten rounds take 0.4 MB."""

OWN_BYTES = 1_000_000_000
"""Of one record that a user names: a long run of thousands of clients is his to read."""


DEEPEST = 20
"""Levels of objects and lists within each other; a record of ours has 5 and its diagnostics."""


class NotJson(ValueError):
    """The text is not the JSON that a record may be; the message says why."""


def read_bytes(path: Path, most: int = MOST_BYTES) -> bytes:
    """A plain file's bytes, of which there may be ``most``."""
    try:  # opening a pipe must not wait for somebody to write into it
        with os.fdopen(os.open(path, os.O_RDONLY | os.O_NONBLOCK), "rb") as file:
            found = os.fstat(file.fileno())
            if not stat.S_ISREG(found.st_mode):
                raise UsageError("can't read the record", where=path, why="it is not a plain file")
            data = file.read(min(found.st_size, most) + 1)  # what is asked for is allocated
    except OSError as error:
        raise UsageError("can't read the record", where=path, why=error.strerror or error) from error
    if len(data) > most:
        why = f"it is larger than {most / 1e6:.0f} MB"
        raise UsageError("not a fedbench record", where=path, why=why)
    return data


def parse(data: bytes) -> dict[str, Any]:
    """The JSON object in ``data``: UTF-8, no key twice, no NaN or infinity, not nested without end."""
    try:
        found = json.loads(
            data.decode(), object_pairs_hook=_unique, parse_float=_finite, parse_constant=_no_number
        )
    except RecursionError:
        raise NotJson("it is nested too deeply") from None
    except UnicodeDecodeError as error:
        raise NotJson(f"it is not UTF-8: {error.reason} at byte {error.start}") from error
    except json.JSONDecodeError as error:
        cut = " (cut off?)" if error.pos >= len(error.doc.rstrip()) - 1 else ""
        raise NotJson(f"it is not JSON: {error.msg}, line {error.lineno}{cut}") from error
    except NotJson:
        raise
    except ValueError as error:  # a whole number of thousands of digits
        raise NotJson(f"it is not JSON: {error}") from error
    if not isinstance(found, dict):
        raise NotJson("it is not a JSON object")
    level: list[Any] = [found]
    for _ in range(DEEPEST):
        level = [
            inner
            for outer in level
            for inner in (outer.values() if type(outer) is dict else outer)
            if type(inner) is dict or type(inner) is list
        ]
    if level:
        raise NotJson("it is nested too deeply")
    if rb"\u" in data and re.search(r"[\ud800-\udfff]", json.dumps(found, ensure_ascii=False)):
        raise NotJson("it has half a character (a lone surrogate)")
    return found


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        keys = [key for key, _ in pairs]
        raise NotJson(f"the key {max(keys, key=keys.count)!r} is there twice")
    return found


def _finite(text: str) -> float:
    value = float(text)
    if not isfinite(value):
        raise NotJson(f"{text[:20]} is too large a number")
    return value


def _no_number(text: str) -> NoReturn:
    raise NotJson(f"{text} is not a number in a record")


def content_id(values: Mapping[str, Any]) -> str:
    """The ``record_id`` of a record's JSON: the hash of everything else in it."""
    return sha256_json({key: value for key, value in values.items() if key != "record_id"})
