"""Cells of tables as texts."""

from __future__ import annotations

import unicodedata
from typing import Any


class Fault(ValueError):
    """What is wrong with a cell: its arguments are the kind of fault and, where there is more to say, why."""


def absent(cell: Any) -> bool:
    """Whether a cell has no value: null, NaN or nothing but white space."""
    return cell is None or cell != cell or (isinstance(cell, str) and not cell.strip())


def text(cell: Any, what: str) -> str:
    """Read a cell as one text, without white space around it; a whole number is one, too.

    Raises :class:`Fault` for a cell without a value or of another type; ``what`` it is, for that.
    """
    if absent(cell):
        raise Fault(f"no {what}")
    if isinstance(cell, bool) or not isinstance(cell, str | int):
        more = " (a list): it is one text" if isinstance(cell, list | tuple) else ""
        raise Fault(f"{what} of type {type(cell).__name__}", f"it is {cell!r:.40}{more}")
    return str(cell).strip()


def texts(cell: Any, what: str) -> list[str]:
    """Read a cell of a text or a list of texts; those without a value are left out."""
    cells = cell if isinstance(cell, list | tuple) else [cell]
    return [text(one, what) for one in cells if not absent(one)]


def label(cell: Any, what: str) -> str:
    """Read a cell as a label, spelt in one way (NFC); numbers and truths are written out."""
    if isinstance(cell, bool | float) and not absent(cell):
        return str(cell)
    return unicodedata.normalize("NFC", text(cell, what))
