"""Who takes part in a round and which examples it sees: pure functions of the seed and names."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from functools import lru_cache
from math import ceil

import numpy as np

from fedbench.rng import numpy_stream


@lru_cache(maxsize=4096)
def cohort(seed: int, round: int, clients: int, size: int | None) -> tuple[int, ...]:
    """The clients of a round, ascending; the same for every method."""
    if size is None or size >= clients:
        return tuple(range(clients))
    chosen = numpy_stream(seed, "cohort", round).choice(clients, size, replace=False)
    return tuple(sorted(chosen.tolist()))


def turns(seed: int, client: int, clients: int, size: int | None, rounds: int) -> Sequence[int]:
    """The rounds (from 1) in which ``client`` takes part."""
    if size is None or size >= clients:
        return range(1, rounds + 1)
    return _turns(seed, clients, size, rounds).get(client, ())


@lru_cache(maxsize=64)
def _turns(seed: int, clients: int, size: int, rounds: int) -> Mapping[int, Sequence[int]]:
    """Everybody's."""
    found: dict[int, list[int]] = defaultdict(list)
    for number in range(1, rounds + 1):
        for client in cohort(seed, number, clients, size):
            found[client].append(number)
    return dict(found)


def one_pass_parts(shard: np.ndarray, seed: int, client: int, parts: int) -> list[np.ndarray]:
    """What a client sees each time it takes part: its data, shuffled once and cut into disjoint parts."""
    shuffled = numpy_stream(seed, "parts", client).permutation(shard)
    return np.array_split(shuffled, parts)


def minibatches(parts: Sequence[np.ndarray], batch_size: int) -> np.ndarray:
    """``[S, C, B]`` example indices: each client's part in order, padded with −1 to the longest."""
    steps = max(ceil(len(part) / batch_size) for part in parts)
    batches = np.full((steps, len(parts), batch_size), -1, dtype=np.int64)
    for client, part in enumerate(parts):
        padded = np.full(steps * batch_size, -1, dtype=np.int64)
        padded[: len(part)] = part
        batches[:, client] = padded.reshape(steps, batch_size)
    return batches
