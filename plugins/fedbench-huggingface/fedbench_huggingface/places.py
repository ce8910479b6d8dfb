"""Where rows belong: to the units and images of the data."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from fedbench_huggingface.columns import Columns
from fedbench_huggingface.splits import Placed
from fedbench_huggingface.table_rows import TableRow


@dataclass
class Places:
    """The numbers of units and images, given as rows ask for them."""

    wholes: Mapping[int, int]
    """By row the number of what no split parts."""
    units: dict[tuple[int, tuple[str, ...]], int] = field(default_factory=dict)
    images: dict[tuple[int, str], int] = field(default_factory=dict)
    shown: list[int] = field(default_factory=list)
    """[images]: a row that has the image."""

    def __call__(self, row: TableRow) -> int:
        unit = self.units.setdefault((self.wholes[row.number], row.labels), len(self.units))
        if (unit, row.image) not in self.images:
            self.images[unit, row.image] = len(self.images)
            self.shown.append(row.number)
        return self.images[unit, row.image]

    def labels(self, options: Columns) -> dict[str, list[str]]:
        """List each unit's value of each label."""
        return {
            name: [labels[number] for _, labels in self.units]
            for number, name in enumerate(options.label_names)
        }


def placed_row(options: Columns, row: TableRow) -> Placed:
    """Say what of a row decides its split; shares are taken of each client."""
    client = row.labels[0] if options.client is not None else ""
    return Placed(row.number, row.image, row.group, client, row.split)
