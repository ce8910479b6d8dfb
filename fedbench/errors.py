"""Errors as one line that a user can act on: what, where, why, what to do."""

from __future__ import annotations

import difflib
from collections.abc import Iterable


class FedbenchError(Exception):
    """An error that is shown as one line: ``what in where: why — fix``."""

    exit_code = 1
    """What the command ends with."""

    def __init__(self, what: str, *, where: object = None, why: object = None, fix: str = "") -> None:
        parts = [what]
        if where is not None:
            parts.append(f"in {where}")
        line = " ".join(parts)
        if why is not None:
            line += f": {why}"
        if fix:
            line += f" — {fix}"
        super().__init__(" ".join(line.split()))


class UsageError(FedbenchError):
    """The request or its input is at fault: unknown name, bad value, unreadable file."""

    exit_code = 2


class Unavailable(UsageError):
    """Data or weights that are not here and have to be fetched first."""


class PluginError(FedbenchError):
    """A plugin is at fault; only fatal under ``--strict-plugins``."""

    exit_code = 3


def suggest(name: str, known: Iterable[str]) -> str:
    """Suggest the closest known name ("did you mean …?"), or list the known ones."""
    names = sorted(set(known))
    close = difflib.get_close_matches(name, names, n=1)
    return f"did you mean {close[0]!r}?" if close else f"there are: {', '.join(names) or 'none'}"
