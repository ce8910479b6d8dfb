"""Data sets: the pairs or preferences that clients learn from and the items that are asked in the end."""

from __future__ import annotations

import unicodedata
from collections.abc import Mapping, Sequence
from dataclasses import astuple, dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np

from fedbench.errors import UsageError, suggest
from fedbench.fingerprint import sha256_json_pieces

if TYPE_CHECKING:
    from PIL.Image import Image


@dataclass(frozen=True, slots=True)
class Pair:
    """A training example of the alignment track: an image, a question about it and the right answer.

    >>> from fedbench import Pair
    >>> Pair(image=0, prompt="what is this?", answer="a red circle").answer
    'a red circle'
    """

    image: int
    """Index into the data's ``images``."""
    prompt: str
    """The question; empty for a caption."""
    answer: str
    """The text to learn."""

    @property
    def content(self) -> tuple[Any, ...]:
        """Its fields, for hashes."""
        return self.image, self.prompt, self.answer


@dataclass(frozen=True, slots=True)
class Preference:
    """A training example of the preference track: two answers to a question about an image.

    >>> from fedbench import Preference
    >>> Preference(image=0, prompt="which colour?", chosen="red", rejected="blue").chosen
    'red'
    """

    image: int
    """Index into the data's ``images``."""
    prompt: str
    """The question."""
    chosen: str
    """The preferred answer."""
    rejected: str
    """The other one."""

    @property
    def content(self) -> tuple[Any, ...]:
        """Its fields, for hashes."""
        return self.image, self.prompt, self.chosen, self.rejected


@dataclass(frozen=True, slots=True)
class Item:
    """An evaluation question.

    >>> from fedbench import Item
    >>> item = Item(image=7, prompt="is it red?", answer="yes", group="circle", choices=("yes", "no"))
    >>> item.choices.index(item.answer)
    0
    >>> Item(image=7, prompt="what is it?", answer="bike", group="a", references=("bike", "bicycle")).accepted
    ('bike', 'bicycle')
    """

    image: int
    """Index into the data's ``images``."""
    prompt: str
    """The question; empty for a caption."""
    answer: str
    """The right answer."""
    group: str
    """What makes items dependent, such as the concept: standard errors are clustered by it."""
    choices: tuple[str, ...] = ()
    """All answers offered, the right one among them; for ``yesno`` yes, then no."""
    references: tuple[str, ...] = ()
    """Where several answers are right: all of them, ``answer`` among them, each as often as it was given."""

    @property
    def accepted(self) -> tuple[str, ...]:
        """The answers that are right: its references, or the one answer."""
        return self.references or (self.answer,)

    @property
    def content(self) -> tuple[Any, ...]:
        """Its fields, for hashes; without references where it has none, so that these change no hash."""
        return astuple(self) if self.references else astuple(self)[:-1]


@dataclass(frozen=True, slots=True)
class Suite:
    """Items of one form that are asked about one split of the data.

    >>> from fedbench import Item, Suite
    >>> item = Item(image=7, prompt="is it red?", answer="yes", group="circle", choices=("yes", "no"))
    >>> Suite(split="test", name="colour", form="yesno", items=(item,)).key
    'test/colour'
    """

    split: str
    """``validation``, ``test`` or a name of the data's own; validation is what options are tuned on."""
    name: str
    """What is asked."""
    form: str
    """Name of the form, which says how its items are asked and scored."""
    items: tuple[Item, ...]
    """The questions, in a fixed order."""

    @property
    def key(self) -> str:
        """``split/name``, by which scenarios and measures name the suite."""
        return f"{self.split}/{self.name}"

    @property
    def content(self) -> tuple[Any, ...]:
        """Its fields and those of its items, for hashes."""
        return self.split, self.name, self.form, tuple(item.content for item in self.items)


@dataclass(frozen=True)
class FederatedData:
    """A data set, whatever its clients learn from it.

    Partitions deal *units*: ``images[i]`` is a view (an augmentation) of unit ``units[i]``, so all views of
    an image stay with one client.

    >>> import numpy as np
    >>> from fedbench import FederatedData, Pair
    >>> words = ["dog", "dog", "cat", "cat"]
    >>> data = FederatedData(
    ...     name="two drawings, each seen twice",
    ...     image_fingerprint="0" * 64,
    ...     images=["dog", "mirrored dog", "cat", "mirrored cat"],
    ...     units=np.array([0, 0, 1, 1]),
    ...     pairs=tuple(Pair(image, "what is this?", word) for image, word in enumerate(words)),
    ...     suites={},
    ...     labels={"animal": ["dog", "cat"]},
    ... )
    >>> data.pair_units.tolist(), data.label("animal").tolist()
    ([0, 0, 1, 1], ['dog', 'cat'])
    """

    name: str
    """The data set's name, for errors and records."""
    image_fingerprint: str
    """sha256 that covers the pixels of all ``images``."""
    images: Sequence[Image]
    """The images, which may be opened when they are asked for."""
    units: np.ndarray
    """[images]: the unit that each image is a view of, from 0; −1 for one that is nobody's, such as a public
    benchmark's, which is asked about and dealt to no client."""
    pairs: tuple[Any, ...]
    """What clients learn from."""
    suites: Mapping[str, Suite]
    """What models are asked, by ``split/name``."""
    labels: Mapping[str, Sequence[str]] = field(default_factory=dict)
    """``labels[name][unit]``: what partitioners may look at."""
    notes: Sequence[str] = ()
    """What a user should know of how the data was read, such as rows that were left out: said in each run, no
    part of the content."""
    left_out: Mapping[str, tuple[int, ...]] = field(default_factory=dict)
    """By kind of fault the numbers of the rows that were left out for it; no part of the content."""

    @cached_property
    def fingerprint(self) -> str:
        """sha256 of the whole content: images, every pair, every item."""
        return sha256_json_pieces(self.content(self.image_fingerprint))

    def content(self, images: str) -> dict[str, Any]:
        """List all rows and items as JSON that is hashed in pieces (an iterator stands for a list), with the
        hash ``images`` for the pixels."""
        return {
            "images": images,
            "units": iter(self.units.tolist()),
            "pairs": (pair.content for pair in self.pairs),
            "suites": {key: suite.content for key, suite in self.suites.items()},
        }

    def label(self, name: str) -> np.ndarray:
        """Look up the values of label ``name``, one per unit, spelt in one way (NFC); refuses a label
        that the data lacks."""
        if name not in self.labels:
            raise UsageError(f"data {self.name!r} has no label {name!r}", fix=suggest(name, self.labels))
        return np.asarray([unicodedata.normalize("NFC", value) for value in self.labels[name]])

    @property
    def held_out_images(self) -> list[int]:
        """The images of units that are asked about and that no client learns from, with repetitions."""
        asked = [item.image for suite in self.suites.values() for item in suite.items]
        return [image for image in asked if self.units[image] >= 0]

    @cached_property
    def pair_units(self) -> np.ndarray:
        """The unit of every pair, [len(pairs)]."""
        return self.units[np.fromiter((pair.image for pair in self.pairs), dtype=np.int64)]


@dataclass(frozen=True)
class AlignmentData(FederatedData):
    """A data set of the alignment track: clients learn what to say of an image.

    >>> import numpy as np
    >>> from fedbench import AlignmentData, Item, Pair, Suite
    >>> suite = Suite("test", "name", "generate", (Item(1, "what is this?", "cat", group="cat"),))
    >>> data = AlignmentData(
    ...     name="animals",
    ...     image_fingerprint="0" * 64,
    ...     images=["a dog", "a cat"],
    ...     units=np.array([0, 1]),
    ...     pairs=(Pair(0, "what is this?", "dog"),),
    ...     suites={suite.key: suite},
    ... )
    >>> data.held_out_images
    [1]
    """

    pairs: tuple[Pair, ...]
    """The training examples."""


@dataclass(frozen=True)
class PreferenceData(FederatedData):
    """A data set of the preference track: clients know which of two answers is better.

    >>> import numpy as np
    >>> from fedbench import Item, Preference, PreferenceData
    >>> data = PreferenceData(
    ...     name="colours",
    ...     image_fingerprint="0" * 64,
    ...     images=["a red circle", "a blue square", "a red square"],
    ...     units=np.array([0, 1, 2]),
    ...     pairs=(Preference(0, "which colour?", chosen="red", rejected="blue"),),
    ...     suites={},
    ...     queries=(Item(1, "which colour?", "blue", group="blue"),),
    ...     comparisons=(Preference(2, "which colour?", chosen="red", rejected="blue"),),
    ... )
    >>> data.held_out_images
    [2]
    """

    pairs: tuple[Preference, ...]
    """The clients' preferences."""
    queries: tuple[Item, ...] = ()
    """The server's public questions, whose answers only the gold reward knows; no client or suite has their
    images."""
    comparisons: tuple[Preference, ...] = ()
    """Public preferences for validation; no client or suite has their images."""

    @property
    def held_out_images(self) -> list[int]:
        """The images of the suites and of the validation comparisons."""
        return [*super().held_out_images, *(comparison.image for comparison in self.comparisons)]

    def content(self, images: str) -> dict[str, Any]:
        """List all rows, items, queries and comparisons as JSON, with the hash ``images`` for the pixels."""
        return super().content(images) | {
            "queries": [query.content for query in self.queries],
            "comparisons": [comparison.content for comparison in self.comparisons],
        }
