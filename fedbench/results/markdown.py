"""Text from untrusted sources, escaped for terminals and Markdown."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

from tabulate import tabulate


def visible(text: str) -> str:
    """Replace the characters that move a terminal's cursor or that XML can't hold."""
    return "".join(character if character.isprintable() else "�" for character in text)


def plain(value: Any) -> str:
    """Escape a value so that Markdown shows it literally, on one line; an address becomes no link by
    itself."""
    text = re.sub(r"([\\`*_{}\[\]<>#|~@$&])", r"\\\1", " ".join(str(value).split()))
    return re.sub(r"(?i)(:/|\bwww)([/.])", r"\1\\\2", text)


def markdown_table(rows: Sequence[Mapping[str, Any]]) -> str:
    """Format rows with the same keys as a Markdown table."""
    cells = [{plain(key): plain(value) for key, value in row.items()} for row in rows]
    return tabulate(cells, headers="keys", tablefmt="pipe", disable_numparse=True)
