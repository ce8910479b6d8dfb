"""Texts and numbers that no record may hold: they are shown on pages and in comments, and public for good."""

from __future__ import annotations

import re
from functools import lru_cache
from typing import Any

MOST_TEXT = 10_000
"""Characters of one text."""

LARGEST = 1e15
"""Largest number that can be a measurement."""

FORBIDDEN = {
    "markup": r"<\s*[/!?A-Za-z]|javascript:",
    "a control character": r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u200b-\u200f\u2028-\u202e\u2066-\u2069\ufeff]",
    "a way out of the folder": r"(?:^|[\s=:\"'/\\])\.\.(?:[/\\]|$)",
    "an absolute path": r"(?:^|[\s=\"'(,])(?:~?/[\w.~-]|[A-Za-z]:[\\/]|\\\\\w)|file:/",
    "what looks like a secret": (
        r"-----BEGIN [A-Z ]*PRIVATE KEY"
        r"|\b(?:gh[pousr]_|github_pat_|hf_|sk-|glpat-|xox[abprs]-|AIza)[\w-]{20}|\b(?:AKIA|ASIA)[A-Z0-9]{16}\b"
        r"|\beyJ[\w-]{10,}\.eyJ[\w-]{10,}\."
        r"|(?i:passw(?:or)?d|secret|api[_-]?key|token)\s*[=:]\s*\S{6}"
        r"|://[^/\s:@]+:[^/\s:@]+@"
    ),
}
"""Patterns of forbidden text, by what a message calls it. Secrets: private keys, tokens of GitHub, Hugging
Face, OpenAI, GitLab, Slack, Google, AWS, web tokens, assignments to a password, addresses with one."""

_PATTERNS = {what: re.compile(pattern) for what, pattern in FORBIDDEN.items()}
_ANY = re.compile("|".join(f"(?:{pattern})" for pattern in FORBIDDEN.values()))


def unsafe_content(values: Any) -> str:
    """Refuses markup, control characters, paths, secrets, long texts and huge numbers of a JSON value.

    Keys count as texts. Returns the first problem; empty if there is none.
    """
    seen: dict[Any, None] = {}
    level = [values]
    while level:
        inner: list[Any] = []
        for value in level:
            if type(value) is dict:
                seen |= dict.fromkeys(value)
                inner += value.values()
            elif type(value) is list:
                inner += value
            else:
                seen[value] = None
        level = inner
    return next((problem for value in seen if (problem := _problem(value))), "")


def _problem(value: Any) -> str:
    if type(value) is str:
        kind = _forbidden(value)
        return kind and f"the text {quoted(value, 40)!r} holds {kind}"
    if isinstance(value, int | float) and abs(value) > LARGEST:
        return "a number is beyond anything measured"
    return ""


@lru_cache(maxsize=100_000)
def _forbidden(text: str) -> str:
    """What ``text`` holds that it must not; cached, since most texts of a record are in most others, too."""
    if len(text) > MOST_TEXT:
        return f"more than {MOST_TEXT} characters"
    if not _ANY.search(text):
        return ""
    return next(what for what, pattern in _PATTERNS.items() if pattern.search(text))


def quoted(text: str, most: int = 80) -> str:
    """An untrusted text as a message may quote it: short, printable ASCII, without markup."""
    return cut(re.sub(r"[^ -~]|[<>`|]", "?", text), most)


def cut(text: str, most: int) -> str:
    """The text, or its beginning and an ellipsis: ``most`` characters at most."""
    return text if len(text) <= most else f"{text[: most - 1]}…"
