"""Splits: rows that show an image, or belong to a group of images, are in one of them."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from fedbench import UsageError, derive
from fedbench_huggingface.files import TRAIN
from fedbench_huggingface.tables import Table


@dataclass(frozen=True, slots=True)
class Placed:
    """What of a row decides its split."""

    number: int
    """The row's number in the table."""
    image: str
    """The hash of its image."""
    group: str
    """What must not be split; empty where nothing is but its image."""
    stratum: str
    """Shares are taken of each of these: the client."""
    split: str
    """The split that the data itself says."""


def components(rows: Sequence[Placed]) -> np.ndarray:
    """[rows]: numbers of the sets of rows that hang together by images or groups, by first appearance."""
    images = np.unique([row.image for row in rows], return_inverse=True)[1]
    groups = np.unique([row.group or f"\0{row.image}" for row in rows], return_inverse=True)[1]
    count = len(images) and int(images.max()) + 1 + int(groups.max()) + 1
    edges = (np.ones(len(rows)), (images, groups + int(images.max()) + 1))
    numbers = connected_components(coo_array(edges, shape=(count, count)), directed=False)[1][images]
    order = {number: place for place, number in enumerate(dict.fromkeys(numbers.tolist()))}
    return np.array([order[number] for number in numbers.tolist()])


def divided(
    table: Table, rows: Sequence[Placed], shares: Mapping[str, float], seed: int
) -> tuple[list[str], np.ndarray, list[str]]:
    """Put every row into a split: its own, or of those of train into what ``shares`` want and the data lacks.

    Returns the splits [rows], the components [rows], and notes. Raises :class:`UsageError` if the data's own
    splits part a component, or nothing is left of a split.
    """
    members: dict[int, list[Placed]] = defaultdict(list)
    numbers = components(rows)
    for number, row in zip(numbers.tolist(), rows, strict=True):
        members[number].append(row)
    _check_whole(table, list(members.values()))
    split = {number: wholes[0].split for number, wholes in members.items()}
    own, notes = set(split.values()), []
    if TRAIN not in own:
        raise UsageError(
            f"data {table.data!r} has nothing to learn from",
            where=table.place,
            why=f"all its rows are of its own split {', '.join(sorted(own))}",
            fix="deal them anew with data.options.own_splits = false, or point at its train files",
        )
    wanted = {name: share for name, share in shares.items() if share and name not in own}
    drawn = _drawn({n: m for n, m in members.items() if split[n] == TRAIN}, wanted, seed)
    split |= drawn
    if len(own) > 1:
        notes.append(
            f"its own splits are kept: {', '.join(sorted(own))}"
            + "".join(f"; {name} is drawn from train" for name in wanted)
        )
    for name in (TRAIN, *(name for name, share in shares.items() if share)):
        if name not in split.values():
            raise UsageError(
                f"data {table.data!r} is too small",
                where=table.place,
                why=f"{len(members)} images or groups leave none for {name}",
                fix="raise data.options.shares, or take more data",
            )
    return [split[number] for number in numbers.tolist()], numbers, notes


def _drawn(members: Mapping[int, Sequence[Placed]], shares: Mapping[str, float], seed: int) -> dict[int, str]:
    """Take shares of each stratum's images, whole components at a time, in an order of the images' own.

    One that goes beyond the share is passed over, and taken only if no other is smaller and nothing fits.
    """
    strata: dict[str, list[int]] = defaultdict(list)
    for number, rows in members.items():
        strata[min(row.stratum for row in rows)].append(number)
    split: dict[int, str] = {}
    key = {number: min(row.image for row in rows) for number, rows in members.items()}
    size = {number: len({row.image for row in rows}) for number, rows in members.items()}
    for numbers in strata.values():
        numbers.sort(key=lambda number: derive(seed, "split", key[number]))
        total, free = sum(size[number] for number in numbers), numbers
        for name, share in shares.items():
            left, taken = max(1, round(share * total)), []
            for number in free:
                if size[number] <= left and len(taken) < len(free) - 1:
                    taken.append(number)
                    left -= size[number]
            if not taken and len(free) > 1:
                taken = [min(free, key=lambda number: size[number])]
            split |= dict.fromkeys(taken, name)
            free = [number for number in free if number not in split]
    return split


def _check_whole(table: Table, members: Sequence[Sequence[Placed]]) -> None:
    """Refuse components that the data's own splits part."""
    parted = [rows for rows in members if len({row.split for row in rows}) > 1]
    if not parted:
        return
    first = parted[0][0]
    other = next(row for row in parted[0] if row.split != first.split)
    what = "an image" if first.image == other.image else "a group"
    both = [f"{table.title(row.number)} ({row.split})" for row in (first, other)]
    raise UsageError(
        f"the splits of data {table.data!r} share {what}",
        where=table.place,
        why=f"{' and '.join(both)} have the same; there are {len(parted)} such cases",
        fix="take one of the two out, or deal all rows anew: data.options.own_splits = false and no split",
    )
