"""Named random streams: every draw is a pure function of a seed and of names that say what it is for.

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
    """Derive the 63-bit seed of the stream called ``names`` under ``seed``."""
    text = "\x1f".join(f"{type(part).__name__}:{part}" for part in (seed, *names))
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "big") >> 1


def torch_stream(seed: int, *names: str | int) -> torch.Generator:
    """Open the stream called ``names`` as a CPU generator: a run draws the same numbers on every device."""
    import torch

    return torch.Generator().manual_seed(derive(seed, *names))


def numpy_stream(seed: int, *names: str | int) -> np.random.Generator:
    """Open the stream called ``names`` as a NumPy generator."""
    import numpy as np

    return np.random.default_rng(derive(seed, *names))
