"""Emoji: what is drawn, what kind of thing that is, to what category it belongs."""

from __future__ import annotations

import io
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import partial

from fedbench_emoji import texts
from fedbench_emoji.assets import verified
from fedbench_emoji.dataset import FILE, TRAIN_ARTISTS, UNSEEN_ARTIST, Drawing, read_drawings
from fedbench_emoji.texts import Level
from PIL import Image

from fedbench.fingerprint import sha256_bytes
from fedbench.rng import derive
from fedbench_preferences.questions import SHARES, YESNO, Pool, Question, Source, pool_of

KINDS = (
    "mammal", "bird", "prepared food", "fruit", "drink", "ground transport", "sky & weather", "building",
    "clothing", "tool", "household", "office", "sport", "game", "event",
)  # fmt: skip
"""Kinds of at least 16 concepts that the nano LLM has read of, but for people, faces and signs."""

ARTISTS = (*TRAIN_ARTISTS, UNSEEN_ARTIST)
LATER: dict[Pool, float] = {pool: share for pool, share in SHARES.items() if pool != "start"}


@dataclass(frozen=True)
class Pictures(Sequence[Image.Image]):
    """Encoded images, opened when asked for."""

    encoded: Sequence[bytes]

    def __len__(self) -> int:
        return len(self.encoded)

    def __getitem__(self, i: int) -> Image.Image:  # type: ignore[override]
        return Image.open(io.BytesIO(self.encoded[i])).convert("RGB")


def drawings() -> Source:
    """Drawings of ``KINDS``. A drawing that two concepts share has no one name, and is left out."""
    verified(FILE)
    rows, encoded = read_drawings()
    often = Counter(encoded)
    kept = [d for d in rows if d.split == "train" and d.concept.kind in KINDS and often[encoded[d.row]] == 1]
    pictures = [encoded[d.row] for d in kept]
    return Source(
        images=Pictures(pictures),
        digests=[sha256_bytes(picture) for picture in pictures],
        pools=[_pool(drawing) for drawing in kept],
        ask={
            "name": partial(_open, kept, "name", texts.NAME),
            "kind": partial(_open, kept, "kind", texts.KIND),
            "category": partial(_open, kept, "category", texts.CATEGORY),
            "yesno-kind": partial(_yesno, kept, "kind"),
            "yesno-category": partial(_yesno, kept, "category"),
        },
    )


def _pool(drawing: Drawing) -> Pool:
    """Each concept as one artist draws it is for the start policy, which then has a name for it."""
    concept = drawing.concept.id
    first = ARTISTS[derive(0, "first artist", concept) % len(ARTISTS)]
    return "start" if drawing.artist == first else pool_of(f"{concept} {drawing.artist}", LATER)


def _open(drawings: Sequence[Drawing], level: Level, prompt: str) -> Iterator[Question]:
    """Wrong names are those of the same kind; any other kind or category is wrong."""

    def family(drawing: Drawing) -> str:
        return drawing.concept.kind if level == "name" else ""

    alike: dict[str, set[str]] = {}
    for drawing in drawings:
        alike.setdefault(family(drawing), set()).add(drawing.concept.label(level))
    for i, drawing in enumerate(drawings):
        answer = drawing.concept.label(level)
        wrong = tuple(sorted(alike[family(drawing)] - {answer}))
        yield Question(i, prompt, answer, wrong, drawing.concept.id)


def _yesno(drawings: Sequence[Drawing], level: Level) -> Iterator[Question]:
    labels = sorted({drawing.concept.label(level) for drawing in drawings})
    for i, drawing in enumerate(drawings):
        for label in labels:
            right = label == drawing.concept.label(level)
            answer, wrong = YESNO if right else YESNO[::-1]
            yield Question(i, texts.YESNO.format(label), answer, (wrong,), drawing.concept.id)
