"""Content hashes: canonical JSON, bytes, files."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping
from itertools import islice
from pathlib import Path
from typing import Any


def canonical_json(value: Any) -> str:
    """Write JSON with sorted keys, no spaces and no NaN: equal values give equal text."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False)


PIECE = 10_000
"""Members of a list that are written as JSON at a time."""


def json_pieces(value: Any) -> Iterator[str]:
    """Write :func:`canonical_json` of ``value`` in pieces; an iterator in a mapping stands for a list
    of which
    :data:`PIECE` members are in memory at a time."""
    if isinstance(value, Mapping):
        for number, key in enumerate(sorted(value)):
            yield f"{',' if number else '{'}{canonical_json(key)}:"
            yield from json_pieces(value[key])
        yield "}" if value else "{}"
    elif isinstance(value, Iterator):
        start = "["
        while members := list(islice(value, PIECE)):
            yield start + canonical_json(members)[1:-1]
            start = ","
        yield "[]" if start == "[" else "]"
    else:
        yield canonical_json(value)


def sha256_json_pieces(value: Any) -> str:
    """The sha256 of what :func:`json_pieces` writes: that of :func:`sha256_json` for equal values."""
    digest = hashlib.sha256()
    for piece in json_pieces(value):
        digest.update(piece.encode())
    return digest.hexdigest()


def sha256_bytes(data: bytes | memoryview) -> str:
    """The sha256 of bytes, in hexadecimal.

    >>> from fedbench import sha256_bytes
    >>> sha256_bytes(b"fedbench")[:12]
    '3a3e46a4348f'
    """
    return hashlib.sha256(data).hexdigest()


def sha256_json(value: Any) -> str:
    """The sha256 of a value's canonical JSON; ValueError if it holds NaN.

    >>> from fedbench import sha256_json
    >>> sha256_json({"a": 1, "b": [2]}) == sha256_json({"b": [2], "a": 1})
    True
    """
    return sha256_bytes(canonical_json(value).encode())


def sha256_file(path: Path) -> str:
    """The sha256 of a file's content.

    >>> import tempfile
    >>> from pathlib import Path
    >>> from fedbench import sha256_bytes, sha256_file
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     written = Path(folder, "data.bin").write_bytes(b"fedbench")
    ...     sha256_file(Path(folder, "data.bin")) == sha256_bytes(b"fedbench")
    True
    """
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
