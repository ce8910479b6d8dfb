"""Content hashes that the engine takes itself: of every image and every row, whatever a data set says."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from fedbench.data.images import StoredImages
from fedbench.data.items import FederatedData, PreferenceData
from fedbench.data.problems import Problem
from fedbench.data.reading import naming
from fedbench.errors import UsageError
from fedbench.fingerprint import canonical_json, sha256_json_pieces

if TYPE_CHECKING:
    from PIL.Image import Image


def image_digests(images: Sequence[Image], owner: str = "the data") -> list[bytes]:
    """Hash each image: the bytes that it is stored as, or else its pixels.

    One that can't be read is named, and ``owner``, whose it is (:class:`FedbenchError`).
    """
    digests = []
    for number in range(len(images)):
        with naming(number, owner):
            digests.append(image_digest(images, number))
    return digests


def images_sha256(images: Sequence[Image], digests: Sequence[bytes] | None = None) -> str:
    """Hash images in order by the recipes that they are made by and their ``digests``, taken if not given."""
    digest = hashlib.sha256()
    for number, content in enumerate(image_digests(images) if digests is None else digests):
        recipe = images.recipe(number) if isinstance(images, StoredImages) else None
        digest.update(canonical_json(recipe).encode())
        digest.update(content)
    return digest.hexdigest()


def check_held_out(data: FederatedData, digests: Sequence[bytes], owner: str) -> None:
    """Refuse data that asks about an image whose stored bytes or pixels are also trained on."""
    problem = next(shared_content(data, digests), None)
    if problem:
        raise UsageError(f"{owner} can't be used", why=problem, fix="take them out of one of the two")


def shared_content(data: FederatedData, digests: Sequence[bytes]) -> Iterator[Problem]:
    """Say that images which are asked about are, by their ``digests``, images that are also trained on."""
    train = {digests[pair.image]: pair.image for pair in data.pairs if digests[pair.image]}
    asked = {item.image for suite in data.suites.values() for item in suite.items}
    if isinstance(data, PreferenceData):
        asked |= {query.image for query in data.queries}
        asked |= {comparison.image for comparison in data.comparisons}
    shared = sorted(number for number in asked if digests[number] in train)
    if shared:
        line = (
            f"{len(shared)} of the {len(asked)} images that are asked about are images that clients learn"
            f" from, such as image {shared[0]}, which is image {train[digests[shared[0]]]}"
        )
        yield Problem(kind="trained on as well", what="image", numbers=tuple(shared), line=line)


def image_digest(images: Sequence[Image], number: int) -> bytes:
    """Hash image ``number``: the bytes that it is stored as, or else its pixels."""
    if isinstance(images, StoredImages):
        return hashlib.sha256(images.stored(number)).digest()
    image = images[number]
    look = canonical_json([image.mode, *image.size]).encode()
    return hashlib.sha256(look + image.tobytes()).digest()


def data_sha256(data: FederatedData, images: str) -> str:
    """Hash a data set: its images' hash ``images``, every row and item, and what partitioners look at."""
    labels = {name: map(str, values) for name, values in data.labels.items()}
    return sha256_json_pieces(data.content(images) | {"labels": labels})
