"""Images of any kind as a person would see them: upright, on white, in 8-bit colour."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from PIL.Image import Image

ORIENTATION = 0x0112
"""EXIF's tag of how a camera was held; 1 is upright."""

SIXTEEN_BITS = ("I;16", "I;16L", "I;16B", "I;16N")
"""PIL's modes of images with 16 bits a pixel."""

FULL_SCALE = (255, 65535)
"""The largest value of an image of whole numbers: that of as many bits as its values need."""


def as_rgb(image: Image) -> Image:
    """Convert an image to RGB as people expect; one that is RGB and upright already is returned as it is.

    The orientation that a camera noted (EXIF) is applied, transparency lies on white, and 16-bit, 32-bit and
    float images are scaled to 8 bits: whole numbers from 0 to 255 or 65,535, floats from 0 to 1, 255 or
    65,535, whichever is the first to hold all values. Raises ValueError for values outside these.

    >>> from PIL import Image
    >>> from fedbench import as_rgb
    >>> as_rgb(Image.new("I;16", (1, 1), 65535 // 2)).getpixel((0, 0))
    (127, 127, 127)
    >>> as_rgb(Image.new("RGBA", (1, 1), (0, 0, 0, 0))).getpixel((0, 0))
    (255, 255, 255)
    """
    from PIL import Image as Images

    image.load()
    image = _upright(image)
    if image.mode in SIXTEEN_BITS:
        values, clear = np.asarray(image), image.info.get("transparency")
        shades = _scaled(values, 65535)
        image = Images.fromarray(
            shades if clear is None else np.where(values == clear, np.uint8(255), shades)
        )
    elif image.mode in ("I", "F"):
        values = np.asarray(image)
        image = Images.fromarray(_scaled(values, _full_scale(values, floats=image.mode == "F")))
    if image.has_transparency_data:
        image = image.convert("RGBA")
        white = Images.new("RGBA", image.size, "white")
        image = Images.alpha_composite(white, image)
    return image if image.mode == "RGB" else image.convert("RGB")


def _upright(image: Image) -> Image:
    """Turn an image as the camera noted that it was held. Of damaged notes nothing else is looked at."""
    from PIL import ImageOps

    try:
        orientation = image.getexif().get(ORIENTATION, 1)
    except Exception:  # not the picture is damaged, only what the camera wrote of it
        return image
    if orientation not in range(2, 9):
        return image
    bare = image.copy()
    bare.info = {key: image.info[key] for key in image.info if key == "transparency"}
    bare.getexif()[ORIENTATION] = orientation
    return ImageOps.exif_transpose(bare)


def _full_scale(values: np.ndarray, floats: bool) -> float:
    low, high = float(values.min()), float(values.max())
    for most in (1.0, *FULL_SCALE) if floats else FULL_SCALE:
        if 0 <= low <= high <= most:
            return most
    raise ValueError(f"its values are from {low:g} to {high:g}, which no image of 8 or 16 bits has")


def _scaled(values: np.ndarray, most: float) -> np.ndarray:
    return np.floor(values.astype(np.float64) * (255 / most)).astype(np.uint8)
