"""Drawings and coloured shapes, what is true of each, and the pool that each is in."""

from __future__ import annotations

import random
import re
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Literal

from fedbench_easyvqa.dataset import files, put
from fedbench_easyvqa.dataset import read as read_questions
from fedbench_easyvqa.hooks import EasyVQAOptions
from fedbench_easyvqa.questions import COLORS, YESNO, Half
from fedbench_emoji.assets import verified
from fedbench_emoji.dataset import FILE, Drawing, held_out, read_drawings

from fedbench import StoredImages, derive, sha256_bytes

Pool = Literal["public", "clients", "validation", "test"]
Source = Literal["drawing", "shape"]
Fact = Literal["name", "kind", "category", "artist", "color", "shape"]

PUBLIC = 0.35
"""Share of the train pictures that the start has been trained on."""
VALIDATION = 0.15
"""Share of easy-VQA's train pictures for validation; drawings have a split of their own."""
EASYVQA = "easy-vqa"
"""The artist of every coloured shape."""
GENDERED = re.compile(r"\b(woman|man|person|women|men|people)\b")


@dataclass(frozen=True, kw_only=True)
class Picture:
    """A drawing or a coloured shape."""

    pool: Pool
    """Who may see it: the start's training, the clients, validation or the tests."""
    source: Source
    """What it is."""
    digest: str
    """sha256 of the stored image."""
    facts: Mapping[Fact, str]
    """What is true of it, by kind of fact; easy-VQA doesn't say everything of every picture."""
    artist: str
    """Who drew it; easy-VQA for a shape."""
    keywords: tuple[str, ...] = ()
    """Words that describe a drawing."""
    concept: str
    """What it shows: a drawing's code points, a shape's colour and shape."""
    group: str
    """What makes questions dependent: a drawing's concept, a shape's picture."""
    category: str
    """A drawing's category, a shape's colour."""


@dataclass(frozen=True)
class Pictures(StoredImages):
    """The stored images, opened when asked for."""

    encoded: Sequence[bytes]
    """The encoded images."""

    def __len__(self) -> int:
        return len(self.encoded)

    def stored(self, number: int) -> bytes:
        """The encoded image ``number``."""
        return self.encoded[number]


@cache
def pictures() -> tuple[tuple[Picture, ...], Pictures]:
    """List every picture, and its image at the same place."""
    listed = [*_drawings(), *_shapes()]
    return tuple(picture for picture, _ in listed), Pictures([encoded for _, encoded in listed])


def _drawings() -> Iterator[tuple[Picture, bytes]]:
    """Drawings of all three artists, without those that two concepts share and held-out ones that the LLM has
    read of."""
    verified(FILE)
    rows, encoded = read_drawings()
    often = Counter(encoded)
    asked = [row for row in rows if row.split == "train"] + held_out(rows)
    for row in sorted(asked, key=lambda drawing: drawing.row):
        image, concept = encoded[row.row], row.concept
        if often[image] == 1:
            facts: dict[Fact, str] = {
                "name": concept.name,
                "kind": concept.kind,
                "category": concept.category,
                "artist": row.artist,
            }
            picture = Picture(
                pool=_pool_of_drawing(row),
                source="drawing",
                digest=sha256_bytes(image),
                facts=facts,
                artist=row.artist,
                keywords=concept.keywords,
                concept=concept.id,
                group=concept.id,
                category=concept.category,
            )
            yield picture, image


def _pool_of_drawing(drawing: Drawing) -> Pool:
    if drawing.split != "train":
        return "validation" if drawing.split == "validation" else "test"
    return "public" if _drawn("family", family(drawing.concept.name)) < PUBLIC else "clients"


def family(name: str) -> str:
    """Drop man, woman and person from a name: variants of one drawing share a family."""
    rest = " ".join(GENDERED.sub(" ", name).replace(":", " ").split())
    return rest or "person"


def _shapes() -> Iterator[tuple[Picture, bytes]]:
    """easy-VQA's pictures, with what the answers to its questions say of them."""
    facts: dict[tuple[Half, int], dict[Fact, str]] = defaultdict(dict)
    halves: tuple[Half, ...] = ("train", "test")
    for half in halves:
        for question in put(read_questions(half), EasyVQAOptions()):
            if question.answer != "no":
                word = question.subject if question.answer in YESNO else question.answer
                facts[half, question.image]["color" if word in COLORS else "shape"] = word
    names = sorted(facts)
    images = [path.read_bytes() for path in files(names)]
    often = Counter(images)
    for (half, number), image in zip(names, images, strict=True):
        if often[image] == 1:
            known = facts[half, number]
            digest = sha256_bytes(image)
            picture = Picture(
                pool=_pool_of_shape(half, digest),
                source="shape",
                digest=digest,
                facts=known,
                artist=EASYVQA,
                concept=" ".join(known[fact] for fact in ("color", "shape") if fact in known),
                group=f"{half} {number}",
                category=known.get("color", "unknown color"),
            )
            yield picture, image


def _pool_of_shape(half: Half, digest: str) -> Pool:
    if half == "test":
        return "test"
    place = _drawn("shape", digest)
    if place < PUBLIC:
        return "public"
    return "validation" if place < PUBLIC + VALIDATION else "clients"


def _drawn(*names: str) -> float:
    return random.Random(derive(0, "pool", *names)).random()
