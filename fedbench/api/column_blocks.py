"""Column blocks: how a cohort's matrix [C, S] is read once, in pieces that stay in the processor's cache."""

from __future__ import annotations

from collections.abc import Iterator

IN_CACHE = 2**18
"""Numbers in a block: 1 MB in fp32, so that a block and what is computed from it stay in cache."""
STEP = 1024
"""A block's width is a multiple of this, but for the last block's."""


def column_blocks(rows: int, columns: int, numbers: int = IN_CACHE) -> Iterator[slice]:
    """Cut a matrix [rows, columns] into blocks of about ``numbers`` numbers; yields the columns of each.

    A block is at least 1,024 columns wide, and the last one up to twice as wide as the others: sums over rows
    round differently in the last columns of a narrow matrix, and in these blocks they have the bits that they
    have over the whole matrix, whatever ``numbers`` is.

    >>> from fedbench import column_blocks
    >>> [(block.start, block.stop) for block in column_blocks(rows=50, columns=12_000)]
    [(0, 5120), (5120, 12000)]
    """
    width = max(STEP, numbers // rows // STEP * STEP)
    cuts = [*range(0, columns - width + 1, width)] or [0]
    for start, stop in zip(cuts, [*cuts[1:], columns], strict=True):
        yield slice(start, stop)
