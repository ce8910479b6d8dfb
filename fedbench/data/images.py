"""Images that are made from stored bytes when they are asked for."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from fedbench.data.decoding import open_image

if TYPE_CHECKING:
    from PIL.Image import Image


class StoredImages(Sequence["Image"], ABC):
    """A data set's images, opened when they are asked for.

    The engine hashes the stored bytes and the recipes itself, so it knows the images without opening each. It
    opens and hashes every pixel of any other sequence of images.

    >>> from io import BytesIO
    >>> from PIL import Image
    >>> from fedbench import StoredImages
    >>> def png(colour):
    ...     Image.new("RGB", (4, 4), colour).save(file := BytesIO(), "png")
    ...     return file.getvalue()
    >>> class Colours(StoredImages):
    ...     def __init__(self, *colours):
    ...         self.files = [png(colour) for colour in colours]
    ...     def __len__(self):
    ...         return len(self.files)
    ...     def stored(self, number):
    ...         return self.files[number]
    >>> Colours("red", "blue")[1].getpixel((0, 0))
    (0, 0, 255)
    """

    @abstractmethod
    def stored(self, number: int) -> bytes:
        """Read the bytes that image ``number`` is made from: a file's, or a cell's."""

    def recipe(self, number: int) -> Any:
        """What else decides how image ``number`` is made from its bytes, as JSON; None: nothing does."""
        return None

    def __getitem__(self, number: int) -> Image:  # type: ignore[override]
        """Open image ``number`` as :func:`fedbench.as_rgb` shows it."""
        return open_image(self.stored(number))
