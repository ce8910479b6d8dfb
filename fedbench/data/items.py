"""Data sets: the pairs or preferences that clients learn from and the items that are asked in the end."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import astuple, dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Any, Literal

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
class Preference:
    """One comparison: of two answers to a question about an image, the one that is preferred."""

    image: int
    prompt: str
    chosen: str
    rejected: str


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
        """``split/name``, by which scenarios and measures name the suite."""
        return f"{self.split}/{self.name}"


@dataclass(frozen=True)
class FederatedData:
    """A data set, whatever its clients learn from it.

    ``images[i]`` may be a view (augmentation) of unit ``units[i]``; partitions deal units, so all
    views of an image stay with one client. ``image_fingerprint`` covers the pixels of ``images``.
    ``labels[name][unit]`` is what partitioners may look at.
    """

    name: str
    image_fingerprint: str
    images: Sequence[Image]
    units: np.ndarray
    pairs: tuple[Any, ...]
    suites: Mapping[str, Suite]
    labels: Mapping[str, Sequence[str]] = field(default_factory=dict)

    @cached_property
    def fingerprint(self) -> str:
        """sha256 of all there is to learn from and to be asked: images, every pair, every item."""
        return sha256_json(self._content())

    def _content(self) -> dict[str, Any]:
        return {
            "images": self.image_fingerprint,
            "units": self.units.tolist(),
            "pairs": [astuple(pair) for pair in self.pairs],
            "suites": {key: astuple(suite) for key, suite in self.suites.items()},
        }

    def label(self, name: str) -> np.ndarray:
        """Look up the values of label ``name``, one per unit; refuses a label that the data lacks."""
        if name not in self.labels:
            raise UsageError(f"data {self.name!r} has no label {name!r}", fix=suggest(name, self.labels))
        return np.asarray(self.labels[name])

    @property
    def held_out_images(self) -> list[int]:
        """The images that are asked about and that no client learns from, with repetitions."""
        return [item.image for suite in self.suites.values() for item in suite.items]

    @cached_property
    def pair_units(self) -> np.ndarray:
        """The unit of every pair, [len(pairs)]."""
        return self.units[np.fromiter((pair.image for pair in self.pairs), dtype=np.int64)]


@dataclass(frozen=True)
class AlignmentData(FederatedData):
    """A data set of the alignment track: clients learn to describe images and to answer questions on them."""

    pairs: tuple[Pair, ...]


@dataclass(frozen=True)
class PreferenceData(FederatedData):
    """A data set of the preference track: clients know which of two answers is better.

    ``queries`` are the server's: public questions, whose answers only the gold reward knows. ``comparisons``
    are public preferences for validation. Neither shares an image with a client or with a suite.
    """

    pairs: tuple[Preference, ...]
    queries: tuple[Item, ...] = ()
    comparisons: tuple[Preference, ...] = ()

    @property
    def held_out_images(self) -> list[int]:
        """The images of the suites and of the validation comparisons."""
        return [*super().held_out_images, *(comparison.image for comparison in self.comparisons)]

    def _content(self) -> dict[str, Any]:
        return super()._content() | {
            "queries": [astuple(query) for query in self.queries],
            "comparisons": [astuple(comparison) for comparison in self.comparisons],
        }
