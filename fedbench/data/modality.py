"""Which examples lack their image or their text: whole clients do, or examples at a rate. No torch.

Who lacks what belongs to the scenario, as its partition does: it depends on ``[modality]``, not on a run's
seed.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from fedbench.api.scenario import Modality
from fedbench.data.items import Pair
from fedbench.rng import numpy_stream

NO_IMAGE = -1
"""The image of a pair that lacks its own."""


@dataclass(frozen=True)
class Missing:
    """What each of n training pairs lacks, [n] truth values each; none lacks both."""

    images: np.ndarray
    """Whether its image is missing: the LLM then reads its prompt and answer only."""
    texts: np.ndarray
    """Whether its text is missing: its prompt is then empty, and its answer stays."""

    def taken(self, pairs: Sequence[Pair]) -> tuple[Pair, ...]:
        """``pairs`` without what they lack. Copies of the n pairs that follow them in the same order, such as
        wrongly labelled ones, lose what their originals lose."""
        losses = zip(self.images.tolist(), self.texts.tolist(), strict=True)
        lost = list(losses) * (len(pairs) // len(self.images))
        return tuple(
            replace(pair, image=NO_IMAGE if image else pair.image, prompt="" if text else pair.prompt)
            if image or text
            else pair
            for pair, (image, text) in zip(pairs, lost, strict=True)
        )

    def counted(self, shards: Sequence[np.ndarray]) -> tuple[list[int], list[int]]:
        """How many of each client's pairs lack their image, and how many their text."""
        images, texts = ([int(lost[shard].sum()) for shard in shards] for lost in (self.images, self.texts))
        return images, texts


def client_modalities(modality: Modality, clients: int) -> tuple[str, ...]:
    """What each client has, of ``image_text``, ``image_only`` and ``text_only``, where these are counted.

    >>> from fedbench.api.scenario import Modality
    >>> client_modalities(Modality(image_text=1, image_only=3), 4)
    ('image_only', 'image_text', 'image_only', 'image_only')
    """
    kinds = [kind for kind, count in modality.counts.items() for _ in range(count)] or [
        "image_text"
    ] * clients
    order = numpy_stream(modality.seed, "modality", "clients").permutation(len(kinds))
    return tuple(kinds[number] for number in order)


def missing_parts(modality: Modality, shards: Sequence[np.ndarray], pairs: int) -> Missing:
    """What each of a data set's training ``pairs`` lacks; ``shards``: those of each client."""
    images, texts = np.zeros(pairs, dtype=bool), np.zeros(pairs, dtype=bool)
    if modality.counts:
        for kind, shard in zip(client_modalities(modality, len(shards)), shards, strict=True):
            images[shard] = kind == "text_only"
            texts[shard] = kind == "image_only"
    else:
        # one draw for both, so that no example lacks both
        drawn = numpy_stream(modality.seed, "modality", "examples").random(pairs)
        rate = modality.missing_images or 0.0
        images, texts = drawn < rate, (drawn >= rate) & (drawn < rate + (modality.missing_texts or 0.0))
    return Missing(images=images, texts=texts)
