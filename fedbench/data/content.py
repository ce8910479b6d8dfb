"""Content hashes that the engine takes itself: of every image and every row, whatever a data set says."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from typing import TYPE_CHECKING

from fedbench.data.images import StoredImages
from fedbench.data.items import FederatedData
from fedbench.fingerprint import canonical_json, sha256_json

if TYPE_CHECKING:
    from PIL.Image import Image


def images_sha256(images: Sequence[Image]) -> str:
    """Hash images in order: the bytes that they are stored as, or else every pixel."""
    digest = hashlib.sha256()
    if isinstance(images, StoredImages):
        for number in range(len(images)):
            digest.update(canonical_json(images.recipe(number)).encode())
            digest.update(hashlib.sha256(images.stored(number)).digest())
    else:
        for image in images:
            digest.update(canonical_json([image.mode, *image.size]).encode())
            digest.update(hashlib.sha256(image.tobytes()).digest())
    return digest.hexdigest()


def data_sha256(data: FederatedData, images: str) -> str:
    """Hash a data set: its images' hash ``images``, every row and item, and what partitioners look at."""
    labels = {name: [str(value) for value in values] for name, values in data.labels.items()}
    return sha256_json(data.content(images) | {"labels": labels})
