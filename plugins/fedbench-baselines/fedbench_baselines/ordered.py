"""The rows of a matrix [C, P], each column sorted: only those that are wanted, without sorting everything.

Up to ``NETWORK`` rows by Batcher's odd–even merge network (Batcher 1968, "Sorting networks and their
applications"; Knuth, TAOCP vol. 3, 5.2.2, algorithm M) without the comparators that no wanted row depends on:
each is an elementwise minimum and maximum of two rows. More rows by numpy's sort of the transposed columns,
since the network grows by log² C for each row and a sort by log C. The columns are spread over as many
threads as torch uses; a selection has the same bits on any number of them.

NaN must not be among the values; the engine leaves out updates that aren't finite. Where zeros of both signs
meet, the sign of a zero is not defined.
"""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from fedbench import Cohort, column_blocks

NETWORK = 64
"""Up to so many rows the network is the faster one."""
NUMBERS = 2**20
"""Numbers of a thread's block: one call of numpy must take longer than it costs."""

Values = NDArray[Any]


def by_ordered_columns(cohort: Cohort, wanted: range, rule: Callable[[Tensor], Tensor]) -> Tensor:
    """``rule`` of the rows ``wanted`` [len(wanted), w] of the parameters with each column sorted: [S]."""
    merged = cohort.params.new_empty(cohort.params.shape[1])
    for columns, block in cohort.blocks("params", NUMBERS * torch.get_num_threads()):
        merged[columns] = rule(ordered(block, wanted))
    return merged


def ordered(values: Tensor, wanted: range) -> Tensor:
    """The rows ``wanted`` of ``values`` [C, w] with each column sorted, ascending."""
    if values.device.type != "cpu" or values.dtype not in (torch.float32, torch.float64):
        return values.sort(dim=0).values[wanted.start : wanted.stop]
    rows = values.new_empty(len(wanted), values.shape[1])
    given, taken = values.detach().numpy(), rows.numpy()
    place = place_by_network if len(given) <= NETWORK else place_by_sort

    def work(columns: slice) -> None:
        place(given[:, columns], wanted, taken[:, columns])

    parts = list(column_blocks(*given.shape, NUMBERS))
    if len(parts) == 1:
        work(parts[0])
    else:
        with ThreadPoolExecutor(torch.get_num_threads()) as pool:
            list(pool.map(work, parts))
    return rows


def place_by_network(values: Values, wanted: range, out: Values) -> None:
    """Write the rows ``wanted`` of ``values``, each column sorted, to ``out``."""
    *rows, spare = np.empty((len(values) + 1, values.shape[1]), values.dtype)
    for row, value in zip(rows, values, strict=True):
        row[:] = value
    for low, high, keeps_low, keeps_high in comparators(len(rows), wanted):
        a, b = rows[low], rows[high]
        if keeps_low and keeps_high:
            np.minimum(a, b, out=spare)
            np.maximum(a, b, out=b)
            rows[low], spare = spare, a
        elif keeps_low:
            np.minimum(a, b, out=a)
        else:
            np.maximum(a, b, out=b)
    for index, row in enumerate(wanted):
        out[index] = rows[row]


def place_by_sort(values: Values, wanted: range, out: Values) -> None:
    """Write the rows ``wanted`` of ``values``, each column sorted, to ``out``."""
    columns = np.ascontiguousarray(values.T)
    columns.sort(axis=1)
    out[:] = columns[:, wanted.start : wanted.stop].T


@cache
def comparators(rows: int, wanted: range) -> tuple[tuple[int, int, bool, bool], ...]:
    """The network's comparators (low, high) that the rows ``wanted`` depend on, and which of the two outputs
    of each is used again."""
    needed, used = set(wanted), []
    for low, high in reversed(network(rows)):
        if low in needed or high in needed:
            used.append((low, high, low in needed, high in needed))
            needed |= {low, high}
    return tuple(reversed(used))


def network(rows: int) -> list[tuple[int, int]]:
    """Batcher's network for ``rows`` values: pairs (low, high), in order, to be put in order."""
    pairs = []
    merged = 1  # every run of so many values is sorted
    while merged < rows:
        distance = merged
        while distance >= 1:
            for first in range(distance % merged, rows - distance, 2 * distance):
                for low in range(first, first + min(distance, rows - first - distance)):
                    if low // (2 * merged) == (low + distance) // (2 * merged):
                        pairs.append((low, low + distance))
            distance //= 2
        merged *= 2
    return pairs
