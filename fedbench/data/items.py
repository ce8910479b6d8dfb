"""Training pairs and evaluation items of the alignment track."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import astuple, dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Literal

import numpy as np

from fedbench.errors import UsageError, suggest
from fedbench.fingerprint import sha256_json

if TYPE_CHECKING:
    from PIL.Image import Image

Form = Literal["caption", "choice", "yesno", "generate"]


@dataclass(frozen=True, slots=True)
class Pair:
    """One training example: an image, what is asked and the right answer. Used once in a run."""

    image: int
    prompt: str
    answer: str


@dataclass(frozen=True, slots=True)
class Item:
    """One evaluation question. ``choices`` holds the answer where the form offers a choice.

    ``group`` names what makes items dependent (the concept): standard errors are clustered by it.
    """

    image: int
    prompt: str
    answer: str
    group: str
    choices: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Suite:
    """Items of one form asked about one split of the data."""

    split: str
    name: str
    form: Form
    items: tuple[Item, ...]

    @property
    def key(self) -> str:
        return f"{self.split}/{self.name}"


@dataclass(frozen=True)
class AlignmentData:
    """A data set of the alignment track.

    ``images[i]`` may be a view (augmentation) of unit ``units[i]``; partitions deal units, so all
    views of an image stay with one client. ``image_fingerprint`` covers the pixels of ``images``.
    ``labels[name][unit]`` is what partitioners may look at.
    """

    name: str
    image_fingerprint: str
    images: Sequence[Image]
    units: np.ndarray
    pairs: tuple[Pair, ...]
    suites: Mapping[str, Suite]
    labels: Mapping[str, Sequence[str]] = field(default_factory=dict)

    @cached_property
    def fingerprint(self) -> str:
        """sha256 of all there is to train on and to be asked: images, every pair, every item."""
        return sha256_json(
            {
                "images": self.image_fingerprint,
                "units": self.units.tolist(),
                "pairs": [astuple(pair) for pair in self.pairs],
                "suites": {key: astuple(suite) for key, suite in self.suites.items()},
            }
        )

    def label(self, name: str) -> np.ndarray:
        """The value of label ``name`` for every unit."""
        if name not in self.labels:
            raise UsageError(f"data {self.name!r} has no label {name!r}", fix=suggest(name, self.labels))
        return np.asarray(self.labels[name])

    @cached_property
    def pair_units(self) -> np.ndarray:
        """The unit of every pair, [len(pairs)]."""
        return self.units[np.fromiter((pair.image for pair in self.pairs), dtype=np.int64)]
