"""Named random streams: every draw is a pure function of a seed and of names that say what it is for.

No stream depends on how often another was used. So neither the order of clients nor the executor changes a
draw, every method sees the same cohorts, and no generator's state has to be saved to resume.
"""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np
    import torch


def derive(seed: int, *names: str | int) -> int:
    """A 63-bit seed for the stream called ``names`` under ``seed``.

    >>> import random
    >>> from fedbench import derive
    >>> derive(0, "images") == derive(0, "images"), derive(0, "images") == derive(0, "items")
    (True, False)
    >>> random.Random(derive(0, "images")).sample(range(100), 3)
    [42, 66, 51]
    """
    text = "\x1f".join(f"{type(part).__name__}:{part}" for part in (seed, *names))
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "big") >> 1


def torch_stream(seed: int, *names: str | int) -> torch.Generator:
    """A PyTorch generator for the stream called ``names``, on the CPU: every device draws the same numbers.

    >>> import torch
    >>> from fedbench import torch_stream
    >>> first, second = (torch.rand(3, generator=torch_stream(0, "noise", 1)) for _ in range(2))
    >>> torch.equal(first, second)
    True
    """
    import torch

    return torch.Generator().manual_seed(derive(seed, *names))


def numpy_stream(seed: int, *names: str | int) -> np.random.Generator:
    """A NumPy generator for the stream called ``names``.

    >>> from fedbench import numpy_stream
    >>> sorted(numpy_stream(0, "order").permutation(4).tolist())
    [0, 1, 2, 3]
    """
    import numpy as np

    return np.random.default_rng(derive(seed, *names))
