"""Rows that can't be used: refused, or left out and counted."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from fedbench import UsageError
from fedbench_huggingface.tables import Table


@dataclass
class Broken:
    """The rows of a table that can't be used, by kind of fault."""

    table: Table
    """The table."""
    skip: bool
    """Whether they are left out; the first is refused otherwise."""
    rows: dict[str, list[int]] = field(default_factory=dict)
    """The numbers of the rows that are left out, by kind."""

    def found(self, row: int, kind: str, why: object = None) -> None:
        """Note that ``row`` has a fault of a ``kind``, such as ``no answer``; ``why`` says more of it."""
        if not self.skip:
            raise UsageError(
                f"{self.table.title(row)} of data {self.table.data!r} can't be used",
                where=self.table.place,
                why=kind if why is None else f"{kind} ({why})",
                fix="mend or take out the row, or set data.options.skip_broken = true",
            )
        self.rows.setdefault(kind, []).append(row)

    @property
    def left_out(self) -> Mapping[str, tuple[int, ...]]:
        """The numbers of the rows that are left out, by kind."""
        return {kind: tuple(rows) for kind, rows in self.rows.items()}

    @property
    def notes(self) -> list[str]:
        """A line for each kind."""
        return [
            f"{len(rows)} of {len(self.table)} rows are left out, such as {self.table.title(rows[0])}: {kind}"
            for kind, rows in self.rows.items()
        ]
