"""Handwritten digits (UCI, as scikit-learn ships them): 1,797 of 8 × 8 pixels."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import cache, partial

import numpy as np
from PIL import Image
from sklearn.datasets import load_digits

from fedbench import sha256_bytes
from fedbench_preferences.questions import YESNO, Question, Source

WORDS = ("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine")
SIDE = 64


@cache
def digits() -> Source:
    """Load the digits, dark on white and enlarged like the drawings."""
    dataset = load_digits()
    pixels = (255 - dataset.images * (255 / 16)).round().astype(np.uint8)
    images = [
        Image.fromarray(picture).resize((SIDE, SIDE), Image.Resampling.BICUBIC).convert("RGB")
        for picture in pixels
    ]
    words = [WORDS[digit] for digit in dataset.target]
    return Source(
        images=images,
        digests=[sha256_bytes(picture.tobytes()) for picture in pixels],
        ask={"digit": partial(_open, words), "yesno-digit": partial(_yesno, words)},
    )


def _open(words: Sequence[str]) -> Iterator[Question]:
    for i, word in enumerate(words):
        yield Question(i, "which digit?", word, tuple(w for w in WORDS if w != word), f"digit {i}")


def _yesno(words: Sequence[str]) -> Iterator[Question]:
    for i, word in enumerate(words):
        for asked in WORDS:
            answer, wrong = YESNO if asked == word else YESNO[::-1]
            yield Question(i, f"is it {asked}?", answer, (wrong,), f"digit {i}")
