"""Named random streams: every draw is a pure function of a seed and the names of its purpose.

Because no stream depends on how often another was used, neither the order of clients nor the
executor changes a draw, every method sees the same cohorts, and nothing has to be saved to resume.
"""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np
    import torch


def derive(seed: int, *names: str | int) -> int:
    """A 63-bit seed for the stream called ``names`` under ``seed``."""
    text = "\x1f".join(f"{type(part).__name__}:{part}" for part in (seed, *names))
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "big") >> 1


def torch_stream(seed: int, *names: str | int) -> torch.Generator:
    """A CPU generator, so that a run draws the same numbers whatever device it computes on."""
    import torch

    return torch.Generator().manual_seed(derive(seed, *names))


def numpy_stream(seed: int, *names: str | int) -> np.random.Generator:
    """A NumPy generator for the stream called ``names``."""
    import numpy as np

    return np.random.default_rng(derive(seed, *names))
