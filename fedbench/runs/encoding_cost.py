"""What it costs to encode a data set's images: bytes, which are exact, and seconds, which are an estimate."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from time import perf_counter
from typing import TYPE_CHECKING

import numpy as np

from fedbench.data.reading import read_image
from fedbench.models.backbone import Backbone

if TYPE_CHECKING:
    from PIL.Image import Image

SAMPLE = 16
"""Images that are encoded to see how long it takes."""


@dataclass(frozen=True, kw_only=True)
class EncodingCost:
    """What the features of n images cost."""

    shape: tuple[int, int, int]
    """Images, tokens of each, width of a token."""
    bytes: int
    """Of all features, as the cache keeps them."""
    seconds: float
    """To open and encode all images on this machine, as :attr:`sample` of them took."""
    sample: int
    """Images that were timed."""


def encoding_cost(backbone: Backbone, images: Sequence[Image], whole: np.ndarray) -> EncodingCost | None:
    """Encode a few of ``images``, spread over those that can be shown (``whole``, their numbers); None if
    none can."""
    if not len(whole):
        return None
    chosen = np.unique(whole[np.linspace(0, len(whole) - 1, SAMPLE).round().astype(int)]).tolist()
    backbone.encode([read_image(images, chosen[0], "the data")])  # the first takes longer than the others
    begun = perf_counter()
    features = backbone.encode([backbone.shrink(read_image(images, number, "the data")) for number in chosen])
    seconds = (perf_counter() - begun) / len(chosen)
    _, tokens, width = features.shape
    return EncodingCost(
        shape=(len(images), tokens, width),
        bytes=len(images) * tokens * width * features.element_size(),
        seconds=seconds * len(images),
        sample=len(chosen),
    )
