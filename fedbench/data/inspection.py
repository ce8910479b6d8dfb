"""Every image of a data set looked at, one by one: which are broken, how large they are, which are alike."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from fedbench.data.content import image_digest
from fedbench.data.conversion import as_rgb
from fedbench.data.decoding import broken
from fedbench.data.problems import Problem

if TYPE_CHECKING:
    from PIL.Image import Image

NO_DIGEST = b""
"""The digest of an image whose bytes can't be had."""


@dataclass(frozen=True, kw_only=True)
class ImageInspection:
    """What was seen of n images."""

    sizes: np.ndarray
    """[n, 2]: width and height in pixels as a model is shown them; 0 for a broken one."""
    digests: Sequence[bytes]
    """The hash of each, by which equal images are known; :data:`NO_DIGEST` for one without bytes."""
    problems: tuple[Problem, ...]
    """A fault for each broken image."""

    def repeated(self, units: np.ndarray) -> int:
        """Count the images that are, by their stored bytes or pixels, an earlier unit's; ``units`` [n]."""
        first: dict[bytes, int] = {}
        for unit, digest in zip(units.tolist(), self.digests, strict=True):
            first.setdefault(digest, unit)
        pairs = zip(units.tolist(), self.digests, strict=True)
        return sum(digest != NO_DIGEST and first[digest] != unit for unit, digest in pairs)

    @property
    def whole(self) -> np.ndarray:
        """The numbers of the images that can be shown, ascending."""
        return np.flatnonzero(self.sizes[:, 0])


def inspect_images(images: Sequence[Image]) -> ImageInspection:
    """Open every image; no more than one is in memory at a time."""
    sizes, digests, problems = np.zeros((len(images), 2), dtype=np.int64), [], []
    for number in range(len(images)):
        digest = NO_DIGEST
        try:
            digest = image_digest(images, number)
            sizes[number] = as_rgb(images[number]).size
        except Exception as error:  # a damaged file makes its data set raise almost anything
            fault = broken(error)
            line = f"image {number} can't be read: {fault if error is fault else error}"
            problems.append(Problem(kind=fault.fault, what="image", numbers=(number,), line=line))
        digests.append(digest)
    return ImageInspection(sizes=sizes, digests=digests, problems=tuple(problems))
