"""Decoding of stored images, with a name for every way in which one can be broken."""

from __future__ import annotations

import warnings
from io import BytesIO
from typing import TYPE_CHECKING, Literal, get_args

from fedbench.data.conversion import as_rgb

if TYPE_CHECKING:
    from PIL.Image import Image

ImageFault = Literal["not an image", "truncated image", "too large an image", "unreadable image", "no file"]
"""What can be wrong with a stored image."""

IMAGE_FAULTS: tuple[ImageFault, ...] = get_args(ImageFault)


class BrokenImage(ValueError):
    """An image that can't be shown: what is wrong with it, and what the decoder said.

    >>> from fedbench import BrokenImage
    >>> BrokenImage("not an image", "it is empty").fault
    'not an image'
    """

    fault: ImageFault
    """What is wrong with it."""

    def __init__(self, fault: ImageFault, why: object) -> None:
        super().__init__(f"{fault} ({why})")
        self.fault = fault


def open_image(stored: bytes) -> Image:
    """Decode an image file as :func:`fedbench.as_rgb` shows it; of an animated one the first frame.

    Raises :class:`BrokenImage` for what is no image, ends too early, is damaged, or has more pixels than
    Pillow decodes (178,956,970, so that a small file can't fill the memory). What Pillow only warns of, such
    as damaged notes of the camera, is no obstacle.

    >>> from io import BytesIO
    >>> from PIL import Image
    >>> from fedbench import open_image
    >>> Image.new("L", (4, 2), 255).save(file := BytesIO(), "png")
    >>> open_image(file.getvalue()).getpixel((0, 0))
    (255, 255, 255)
    >>> open_image(b"<html>not found</html>")
    Traceback (most recent call last):
    fedbench.data.decoding.BrokenImage: not an image (it has no known image format)
    """
    from PIL import Image, UnidentifiedImageError

    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            with Image.open(BytesIO(stored)) as image:
                return as_rgb(image)
    except UnidentifiedImageError as error:
        why = "it has no known image format" if stored else "it is empty"
        raise BrokenImage("not an image", why) from error
    except Exception as error:  # a damaged file makes Pillow raise almost anything
        raise broken(error) from error


def broken(error: BaseException) -> BrokenImage:
    """Say what is wrong with an image whose opening raised ``error``, or what ``error`` was raised from."""
    from PIL import Image

    cause: BaseException | None = error
    while cause is not None:
        if isinstance(cause, BrokenImage):
            return cause
        if isinstance(cause, Image.DecompressionBombError):
            return BrokenImage("too large an image", str(cause).partition(", could")[0])
        if isinstance(cause, FileNotFoundError):
            return BrokenImage("no file", cause)
        if isinstance(cause, EOFError) or "truncated" in str(cause).lower():
            return BrokenImage("truncated image", cause)
        cause = cause.__cause__
    return BrokenImage("unreadable image", str(error) or type(error).__name__)
