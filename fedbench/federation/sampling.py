"""Who takes part in a round and which examples it sees: pure functions of the seed and names."""

from __future__ import annotations

from collections.abc import Sequence
from math import ceil

import numpy as np

from fedbench.rng import numpy_stream


def cohort(seed: int, round: int, clients: int, size: int | None) -> tuple[int, ...]:
    """The clients of a round, ascending; the same for every method."""
    if size is None or size >= clients:
        return tuple(range(clients))
    chosen = numpy_stream(seed, "cohort", round).choice(clients, size, replace=False)
    return tuple(sorted(chosen.tolist()))


def one_pass_part(shard: np.ndarray, seed: int, client: int, round: int, rounds: int) -> np.ndarray:
    """The part of a client's data that round ``round`` (from 1) sees; the R parts are disjoint."""
    shuffled = numpy_stream(seed, "parts", client).permutation(shard)
    return np.array_split(shuffled, rounds)[round - 1]


def minibatches(parts: Sequence[np.ndarray], batch_size: int) -> np.ndarray:
    """``[S, C, B]`` example indices: each client's part in order, padded with −1 to the longest."""
    steps = max(ceil(len(part) / batch_size) for part in parts)
    batches = np.full((steps, len(parts), batch_size), -1, dtype=np.int64)
    for client, part in enumerate(parts):
        padded = np.full(steps * batch_size, -1, dtype=np.int64)
        padded[: len(part)] = part
        batches[:, client] = padded.reshape(steps, batch_size)
    return batches
