"""Errors as one line that a user can act on: what, where, why, what to do."""

from __future__ import annotations

import difflib
from collections.abc import Iterable


class FedbenchError(Exception):
    """An error that is shown as one line.

    >>> from fedbench import FedbenchError
    >>> print(FedbenchError("can't read the file", where="a.toml", why="no such file", fix="check the path"))
    can't read the file in a.toml: no such file — check the path
    """

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
    """The request or its input is at fault: unknown name, bad value, unreadable file.

    >>> from fedbench import UsageError
    >>> UsageError("unknown method 'fedagv'", fix="did you mean 'fedavg'?").exit_code
    2
    """

    exit_code = 2


class Unavailable(UsageError):
    """Data or weights that are not here and have to be fetched first.

    >>> from fedbench import Unavailable
    >>> raise Unavailable("data 'x-rays' is not here", fix="hf download my/x-rays")
    Traceback (most recent call last):
    fedbench.errors.Unavailable: data 'x-rays' is not here — hf download my/x-rays
    """


class PluginError(FedbenchError):
    """A plugin is at fault; only fatal under ``--strict-plugins``.

    >>> from fedbench import PluginError
    >>> PluginError("plugin mine 1.0: left out").exit_code
    3
    """

    exit_code = 3


def suggest(name: str, known: Iterable[str]) -> str:
    """What to do about an unknown name: "did you mean …?", or else the known ones.

    >>> from fedbench import suggest
    >>> suggest("colr", ["color", "shape"])
    "did you mean 'color'?"
    >>> suggest("size", ["color", "shape"])
    'there are: color, shape'
    """
    names = sorted(set(known))
    close = difflib.get_close_matches(name, names, n=1)
    return f"did you mean {close[0]!r}?" if close else f"there are: {', '.join(names) or 'none'}"
