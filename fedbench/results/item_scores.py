"""What every item of the primary suite scored at the end of a run, packed into text."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import numpy as np
from pydantic import Field, model_validator

from fedbench.fingerprint import sha256_json
from fedbench.results.section import RecordSection

DTYPES = {1: "<u1", 2: "<u2", 4: "<u4"}
"""Of packed group numbers, by bytes a number."""

LINE = 4096
"""Characters of a line of packed text."""


class ItemScores(RecordSection):
    """One score for every item and model; the mean over all of them is the primary measure.

    For a mean over items (an accuracy) a score is the item's own 0 or 1. For a ratio of sums (nats per
    token) it is the value plus n times the item's influence on it, so that here, too, the mean is the measure
    and the spread over groups gives its standard error.

    Packed scores are bytes in hexadecimal: ``bits`` has 8 scores of 0 or 1 a byte, the first in the highest
    bit; ``float32`` has 4 bytes a score, little-endian. Packed groups have 1, 2 or 4 bytes a number,
    little-endian, the fewest that will do.

    >>> packed = ItemScores.of([1.0, 0.0, 1.0], ["apple", "apple", "pear"])
    >>> packed.encoding, packed.scores, packed.groups
    ('bits', ['a0'], ['000001'])
    >>> packed.decoded().tolist(), packed.decoded_groups().tolist()
    ([[1.0, 0.0, 1.0]], [0, 0, 1])
    """

    items: int = Field(ge=1, description="items of the suite")
    models: int = Field(1, ge=1, description="models that were measured: one, or one for each client")
    encoding: Literal["bits", "float32"] = Field(description="how the scores are packed")
    scores: list[str] = Field(
        description="packed scores, models × items, in lines: all of the first model first"
    )
    groups: list[str] = Field(
        description="packed numbers of the items' groups, in lines: which items are about one thing (standard"
        " errors are clustered by it), numbered from 0 as they first come"
    )
    groups_sha256: str = Field(description="sha256 of the JSON list of the items' group names, item by item")

    @classmethod
    def of(cls, scores: Sequence[float] | np.ndarray, groups: Sequence[str], models: int = 1) -> ItemScores:
        """Pack ``scores`` [models · items] of items that belong to ``groups`` [items]."""
        values = np.asarray(scores, dtype=np.float64)
        if len(values) != models * len(groups):
            raise ValueError(f"{len(values)} scores for {models} × {len(groups)} items")
        zero_or_one = bool(np.isin(values, (0.0, 1.0)).all())
        numbers = {name: number for number, name in enumerate(dict.fromkeys(groups))}
        width = next(width for width in DTYPES if len(numbers) <= 256**width)
        return cls(
            items=len(groups),
            models=models,
            encoding="bits" if zero_or_one else "float32",
            scores=_lines(np.packbits(values.astype(bool)) if zero_or_one else values.astype("<f4")),
            groups=_lines(np.array([numbers[name] for name in groups], dtype=DTYPES[width])),
            groups_sha256=sha256_json(list(groups)),
        )

    def decoded(self) -> np.ndarray:
        """The scores, [models, items]."""
        data, count = _bytes(self.scores), self.models * self.items
        if self.encoding == "bits":
            flat = np.unpackbits(np.frombuffer(data, dtype=np.uint8), count=count)
        else:
            flat = np.frombuffer(data, dtype="<f4")
        return flat.astype(np.float64).reshape(self.models, self.items)

    def decoded_groups(self) -> np.ndarray:
        """The number of each item's group, [items]."""
        data = _bytes(self.groups)
        return np.frombuffer(data, dtype=DTYPES[len(data) // self.items]).astype(np.int64)

    @model_validator(mode="after")
    def _is_as_long_as_it_says(self) -> ItemScores:
        count = self.models * self.items
        wanted = -(-count // 8) if self.encoding == "bits" else 4 * count
        if len(_bytes(self.scores)) != wanted:
            raise ValueError(f"scores are not those of {self.models} × {self.items} items")
        if len(_bytes(self.groups)) not in [width * self.items for width in DTYPES]:
            raise ValueError(f"groups are not those of {self.items} items")
        return self


def _lines(values: np.ndarray) -> list[str]:
    text = values.tobytes().hex()
    return [text[start : start + LINE] for start in range(0, len(text), LINE)]


def _bytes(lines: Sequence[str]) -> bytes:
    return bytes.fromhex("".join(lines))
