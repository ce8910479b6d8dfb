"""Products of rows that lie client by client with a matrix of each client's own.

A loop over the clients' rows is the reference; where all have as many rows it is one batched product, and on
a GPU one grouped product. Which it is follows from the shapes and the device alone.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import accumulate, pairwise

import torch
from torch import Tensor
from torch.nn import functional as F

ALIGNED = 16
"""Bytes that a grouped product's rows are a multiple of."""


def times_own(rows: Tensor, matrices: Tensor, counts: Sequence[int]) -> Tensor:
    """Multiply each client's rows of ``rows`` [M, K] with its own of ``matrices`` [C, K, N]: [M, N].

    ``counts`` [C]: how many rows each client has.
    """
    if len(set(counts)) == 1:
        blocks = rows.unflatten(0, (len(counts), -1))
        return torch.bmm(blocks, matrices).flatten(0, 1)
    if _grouped(rows, matrices):
        return F.grouped_mm(rows.contiguous(), matrices, offs=_ends(counts, rows))
    product = rows.new_empty(len(rows), matrices.shape[2])
    for client, own in enumerate(segments(counts)):
        torch.mm(rows[own], matrices[client], out=product[own])
    return product


def own_outer(left: Tensor, right: Tensor, counts: Sequence[int]) -> Tensor:
    """Sum over each client's rows the outer products of ``left`` [M, K] and ``right`` [M, N]: [C, K, N]."""
    if len(set(counts)) == 1:
        return torch.bmm(left.unflatten(0, (len(counts), -1)).mT, right.unflatten(0, (len(counts), -1)))
    if _grouped(left, right):
        return F.grouped_mm(left.contiguous().mT, right.contiguous(), offs=_ends(counts, left))
    products = left.new_empty(len(counts), left.shape[1], right.shape[1])
    for client, own in enumerate(segments(counts)):
        torch.mm(left[own].mT, right[own], out=products[client])
    return products


def segments(counts: Sequence[int]) -> Iterator[slice]:
    """The rows of each client."""
    return (slice(begin, end) for begin, end in pairwise(accumulate(counts, initial=0)))


def _ends(counts: Sequence[int], like: Tensor) -> Tensor:
    """The row after each client's last, [C], where ``like`` lies."""
    return torch.tensor(list(accumulate(counts)), dtype=torch.int32, device=like.device)


def _grouped(*operands: Tensor) -> bool:
    """Whether the device has a grouped product for these operands."""
    return all(
        each.device.type == "cuda"
        and each.dtype in (torch.bfloat16, torch.float16, torch.float32)
        and min(each.shape[-2:]) * each.element_size() % ALIGNED == 0
        for each in operands
    )
