"""Training pairs and evaluation items of the alignment track."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Literal

import numpy as np

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
    views of an image stay with one client. ``fingerprint`` covers everything here,
    ``image_fingerprint`` just the pixels. ``labels[name][unit]`` is what partitioners may look at.
    """

    name: str
    fingerprint: str
    image_fingerprint: str
    images: Sequence[Image]
    units: np.ndarray
    pairs: tuple[Pair, ...]
    suites: Mapping[str, Suite]
    labels: Mapping[str, Sequence[str]] = field(default_factory=dict)

    @cached_property
    def pair_units(self) -> np.ndarray:
        """The unit of every pair, [len(pairs)]."""
        return self.units[np.fromiter((pair.image for pair in self.pairs), dtype=np.int64)]
