"""The files this package ships, checked against their recorded hashes before use."""

from __future__ import annotations

import json
from pathlib import Path

from fedbench import UsageError, sha256_file

FOLDER = Path(__file__).parent / "assets"
SUMS = "SHA256SUMS.json"


def verified(prefix: str) -> dict[str, str]:
    """Check the assets below ``prefix`` against their recorded hashes; return {relative path: sha256}.

    Raises :class:`UsageError` if one is not as shipped.
    """
    try:
        sums: dict[str, str] = json.loads((FOLDER / SUMS).read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise _damaged(SUMS, error) from error
    wanted = {name: value for name, value in sums.items() if name.startswith(prefix)}
    for name, value in wanted.items():
        try:
            actual = sha256_file(FOLDER / name)
        except OSError as error:
            raise _damaged(name, error.strerror) from error
        if actual != value:
            raise _damaged(name, f"its sha256 is {actual[:12]}…, expected {value[:12]}…")
    return wanted


def _damaged(name: str, why: object) -> UsageError:
    return UsageError(
        "a data file is missing or damaged", where=FOLDER / name, why=why, fix="reinstall fedbench-emoji"
    )
