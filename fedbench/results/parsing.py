"""Strict and bounded reading of JSON from untrusted sources."""

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

MOST_BYTES = 2_000_000
"""Largest submitted record; a hundred clients over ten rounds take 0.08 MB."""

OWN_BYTES = 1_000_000_000
"""Largest record that a user names: a long run of thousands of clients is large."""

DEEPEST = 20
"""Most levels of objects and lists within each other; a record has 5 and its diagnostics."""


class NotJson(ValueError):
    """The text is not the JSON that a record may be; the message says why."""


def read_bytes(path: Path, most: int = MOST_BYTES) -> bytes:
    """Read a plain file of at most ``most`` bytes; :class:`UsageError` for any other."""
    try:  # opening a pipe must not wait for a writer
        with os.fdopen(os.open(path, os.O_RDONLY | os.O_NONBLOCK), "rb") as file:
            status = os.fstat(file.fileno())
            if not stat.S_ISREG(status.st_mode):
                raise UsageError("can't read the record", where=path, why="it is not a plain file")
            data = file.read(min(status.st_size, most) + 1)  # no more than this is allocated
    except OSError as error:
        raise UsageError("can't read the record", where=path, why=error.strerror or error) from error
    if len(data) > most:
        why = f"it is larger than {most / 1e6:.0f} MB"
        raise UsageError("not a fedbench record", where=path, why=why)
    return data


def parse(data: bytes) -> dict[str, Any]:
    """Parse the JSON object in ``data``: UTF-8, no key twice, finite numbers, at most :data:`DEEPEST` levels.

    Raises :class:`NotJson`.
    """
    try:
        document = json.loads(
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
    if not isinstance(document, dict):
        raise NotJson("it is not a JSON object")
    level: list[Any] = [document]
    for _ in range(DEEPEST):
        level = [
            inner
            for outer in level
            for inner in (outer.values() if type(outer) is dict else outer)
            if type(inner) is dict or type(inner) is list
        ]
    if level:
        raise NotJson("it is nested too deeply")
    if rb"\u" in data and re.search(r"[\ud800-\udfff]", json.dumps(document, ensure_ascii=False)):
        raise NotJson("it has half a character (a lone surrogate)")
    return document


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    unique = dict(pairs)
    if len(unique) < len(pairs):
        keys = [key for key, _ in pairs]
        raise NotJson(f"the key {max(keys, key=keys.count)!r} is there twice")
    return unique


def _finite(text: str) -> float:
    value = float(text)
    if not isfinite(value):
        raise NotJson(f"{text[:20]} is too large a number")
    return value


def _no_number(text: str) -> NoReturn:
    raise NotJson(f"{text} is not a number in a record")


def content_id(values: Mapping[str, Any]) -> str:
    """Hash a record's JSON without its ``record_id``, which this is."""
    return sha256_json({key: value for key, value in values.items() if key != "record_id"})
