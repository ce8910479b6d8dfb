"""Augmented views of a drawing: small, label-preserving, a pure function of the names it is given."""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass

from PIL import Image, ImageOps

from fedbench import StoredImages, derive

VERSION = 1
"""Raise when the recipe changes, so that cached features are not mistaken for new ones."""


@dataclass(frozen=True)
class Views(StoredImages):
    """Augmented views as images, made when asked for; view 0 is the drawing as it is."""

    encoded: Sequence[bytes]
    """The encoded images of the drawings, by row."""
    index: Sequence[tuple[int, int]]
    """For each image its drawing and the number of its view."""

    def __len__(self) -> int:
        return len(self.index)

    def stored(self, number: int) -> bytes:
        """The encoded drawing that image ``number`` is a view of."""
        return self.encoded[self.index[number][0]]

    def recipe(self, number: int) -> tuple[int, int]:
        """The drawing's row and the number of the view: they seed the augmentation."""
        return self.index[number]

    def __getitem__(self, number: int) -> Image.Image:  # type: ignore[override]
        """Make view ``number``."""
        row, view = self.index[number]
        image = super().__getitem__(number)
        return augmented(image, random.Random(derive(0, "view", row, view))) if view else image


def augmented(image: Image.Image, rng: random.Random) -> Image.Image:
    """Mirror an image or not, turn it by up to 12°, scale it by 0.85–1.15 and shift it by up to 4 pixels."""
    if rng.random() < 0.5:
        image = ImageOps.mirror(image)
    angle, scale = rng.uniform(-12, 12), rng.uniform(0.85, 1.15)
    shift = (rng.randint(-4, 4), rng.randint(-4, 4))
    turned = image.rotate(angle, Image.Resampling.BILINEAR, translate=shift, fillcolor="white")
    side = round(turned.width * scale)
    scaled = turned.resize((side, side), Image.Resampling.BILINEAR)
    view = Image.new("RGB", image.size, "white")
    corner = (image.width - side) // 2
    view.paste(scaled, (corner, corner))
    return view
