"""Emoji drawings: questions about their kind, category and artist."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cache, partial

from fedbench_emoji import texts
from fedbench_emoji.assets import verified
from fedbench_emoji.dataset import FILE, TRAIN_ARTISTS, UNSEEN_ARTIST, Drawing, read_drawings
from fedbench_emoji.texts import Concept, Level

from fedbench import StoredImages, sha256_bytes
from fedbench_preferences.questions import YESNO, Question, Source

KINDS = (
    "mammal",
    "bird",
    "prepared food",
    "fruit",
    "drink",
    "ground transport",
    "sky & weather",
    "building",
    "clothing",
    "tool",
    "household",
    "office",
    "sport",
    "game",
    "event",
)
"""The largest kinds of five categories; people, faces and signs are left out."""

ARTIST = "which artist?"
ARTISTS = (*TRAIN_ARTISTS, UNSEEN_ARTIST)


@dataclass(frozen=True)
class Pictures(StoredImages):
    """Encoded images, opened when asked for."""

    encoded: Sequence[bytes]
    """The encoded images."""

    def __len__(self) -> int:
        return len(self.encoded)

    def stored(self, number: int) -> bytes:
        """The encoded image ``number``."""
        return self.encoded[number]


@cache
def drawings() -> Source:
    """Load the drawings of ``KINDS``, without those that two concepts share."""
    verified(FILE)
    rows, encoded = read_drawings()
    often = Counter(encoded)
    kept = [d for d in rows if d.concept.kind in KINDS and often[encoded[d.row]] == 1]
    pictures = [encoded[drawing.row] for drawing in kept]
    concepts = [drawing.concept for drawing in kept]
    return Source(
        images=Pictures(pictures),
        digests=[sha256_bytes(picture) for picture in pictures],
        ask={
            "artist": partial(_artist, kept),
            "kind": partial(_label, concepts, "kind", texts.KIND),
            "category": partial(_label, concepts, "category", texts.CATEGORY),
            "yesno-kind": partial(_yesno, concepts, "kind"),
            "yesno-category": partial(_yesno, concepts, "category"),
        },
    )


def _artist(drawings: Sequence[Drawing]) -> Iterator[Question]:
    for i, drawing in enumerate(drawings):
        wrong = tuple(artist for artist in ARTISTS if artist != drawing.artist)
        yield Question(i, ARTIST, drawing.artist, wrong, drawing.concept.id)


def _label(concepts: Sequence[Concept], level: Level, prompt: str) -> Iterator[Question]:
    labels = _labels(concepts, level)
    for i, concept in enumerate(concepts):
        answer = concept.label(level)
        yield Question(i, prompt, answer, tuple(x for x in labels if x != answer), concept.id)


def _yesno(concepts: Sequence[Concept], level: Level) -> Iterator[Question]:
    labels = _labels(concepts, level)
    for i, concept in enumerate(concepts):
        own = concept.label(level)
        for label in labels:
            answer, wrong = YESNO if label == own else YESNO[::-1]
            yield Question(i, texts.YESNO.format(label), answer, (wrong,), concept.id)


def _labels(concepts: Sequence[Concept], level: Level) -> list[str]:
    return sorted({concept.label(level) for concept in concepts})
