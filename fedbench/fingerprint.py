"""Content hashes: canonical JSON, bytes, files."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any


def canonical_json(value: Any) -> str:
    """Write JSON with sorted keys, no spaces and no NaN: equal values give equal text."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False)


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
