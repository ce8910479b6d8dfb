"""Odd image files: what each is, and what people expect of it. ``docs/odd-inputs.md`` has them as a table."""

import io
import struct
import zlib
from dataclasses import dataclass
from typing import Any

import numpy as np
from PIL import Image, ImageCms

RED, BLUE, WHITE, BLACK = (255, 0, 0), (0, 0, 255), (255, 255, 255), (0, 0, 0)
RAMP = np.linspace(0, 65535, 64, dtype=np.uint16).reshape(8, 8)
NOISE = np.random.default_rng(0).integers(0, 256, (60, 80, 3), dtype=np.uint8)


def encoded(image, format="png", **settings):
    image.save(file := io.BytesIO(), format, **settings)
    return file.getvalue()


def photo(orientation):
    """Red above, blue below, as a camera stores it that was held in one of eight ways."""
    image = Image.new("RGB", (16, 32), RED)
    image.paste(BLUE, (0, 16, 16, 32))
    back = {3: Image.Transpose.ROTATE_180, 6: Image.Transpose.ROTATE_90, 8: Image.Transpose.ROTATE_270}
    notes = Image.Exif()
    notes[0x0112] = orientation
    return encoded(image.transpose(back[orientation]), "jpeg", exif=notes, quality=95)


def disc(mode):
    """Something black in the middle of nothing."""
    image = Image.new("RGBA", (9, 9), (0, 0, 0, 0))
    image.putpixel((4, 4), (0, 0, 0, 255))
    return encoded(image.convert(mode))


def palette():
    image = Image.new("P", (9, 9), 1)
    image.putpalette([*BLACK, *BLUE])
    image.putpixel((4, 4), 0)
    return encoded(image, transparency=1)


def chunk(name, data):
    return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))


def png(width, height, bits=8, colour=2, data=bytes(100), before=b""):
    header = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, bits, colour, 0, 0, 0))
    return b"".join(
        [b"\x89PNG\r\n\x1a\n", header, before, chunk(b"IDAT", zlib.compress(data)), chunk(b"IEND", b"")]
    )


def clear_grey():
    """16 bits, of which one shade is transparent."""
    rows = b"".join(b"\0" + row.astype(">u2").tobytes() for row in RAMP)
    return png(8, 8, bits=16, colour=0, data=rows, before=chunk(b"tRNS", struct.pack(">H", RAMP[0, 3])))


def frames(format, **settings):
    first, second = Image.new("RGB", (8, 8), RED), Image.new("RGB", (8, 8), BLUE)
    return encoded(first, format, save_all=True, append_images=[second], **settings)


def lab():
    made = [ImageCms.createProfile(name) for name in ("sRGB", "LAB")]
    return encoded(ImageCms.profileToProfile(Image.new("RGB", (8, 8), RED), *made, outputMode="LAB"), "tiff")


def damaged_notes():
    """A photo whose notes have a type that there is not."""
    notes = Image.Exif()
    notes[0x0112], notes[0x010F] = 6, "xxx"
    raw = bytearray(notes.tobytes())
    raw[17] = 1
    stored = Image.new("RGB", (32, 16), RED)
    return encoded(stored, "jpeg", exif=bytes(raw))


JPEG = encoded(Image.fromarray(NOISE), "jpeg")
PNG = encoded(Image.fromarray(NOISE))


@dataclass(frozen=True)
class Shown:
    """An image that is shown as people expect."""

    stored: bytes
    how: str
    """What is done about it."""
    size: tuple[int, int]
    pixels: Any
    """Colours by place."""


@dataclass(frozen=True)
class Refused:
    """An image that is named."""

    stored: bytes
    fault: str


ODD = {
    "one pixel": Shown(encoded(Image.new("RGB", (1, 1), RED)), "kept", (1, 1), {(0, 0): RED}),
    "one pixel wide, 5,000 high": Shown(
        encoded(Image.new("RGB", (1, 5000), RED)), "kept", (1, 5000), {(0, 4999): RED}
    ),
    "photo taken with the camera on its right side (EXIF orientation 6)": Shown(
        photo(6), "turned upright", (16, 32), {(8, 4): RED, (8, 28): BLUE}
    ),
    "on its left side (8)": Shown(photo(8), "turned upright", (16, 32), {(8, 4): RED, (8, 28): BLUE}),
    "upside down (3)": Shown(photo(3), "turned upright", (16, 32), {(8, 4): RED, (8, 28): BLUE}),
    "photo whose other EXIF notes are damaged": Shown(
        damaged_notes(), "turned upright; the notes are not looked at", (16, 32), {(8, 8): RED}
    ),
    "CMYK": Shown(
        encoded(Image.new("CMYK", (8, 8), (0, 255, 255, 0)), "jpeg"),
        "converted to RGB",
        (8, 8),
        {(0, 0): RED},
    ),
    "CIELAB": Shown(lab(), "converted to RGB", (8, 8), {(0, 0): RED}),
    "grey of 16 bits": Shown(
        encoded(Image.fromarray(RAMP)), "scaled to 8 bits", (8, 8), {(0, 0): BLACK, (7, 7): WHITE}
    ),
    "grey of 16 bits, one shade transparent": Shown(
        clear_grey(), "scaled to 8 bits, that shade is white", (8, 8), {(3, 0): WHITE, (4, 0): (16, 16, 16)}
    ),
    "one bit": Shown(encoded(Image.new("1", (8, 8), 1)), "black and white", (8, 8), {(0, 0): WHITE}),
    "RGBA, transparent around something black": Shown(
        disc("RGBA"), "laid on white", (9, 9), {(0, 0): WHITE, (4, 4): BLACK}
    ),
    "grey with transparency": Shown(disc("LA"), "laid on white", (9, 9), {(0, 0): WHITE, (4, 4): BLACK}),
    "palette with a transparent colour": Shown(
        palette(), "laid on white", (9, 9), {(0, 0): WHITE, (4, 4): BLACK}
    ),
    "animated GIF": Shown(frames("gif"), "its first frame", (8, 8), {(0, 0): RED}),
    "animated PNG": Shown(frames("png"), "its first frame", (8, 8), {(0, 0): RED}),
    "animated WebP": Shown(frames("webp", lossless=True), "its first frame", (8, 8), {(0, 0): RED}),
    "an empty file": Refused(b"", "not an image (it is empty)"),
    "HTML, as a failed download leaves": Refused(
        b"<html>404</html>", "not an image (it has no known image format)"
    ),
    "SVG": Refused(
        b"<svg xmlns='http://www.w3.org/2000/svg'/>", "not an image (it has no known image format)"
    ),
    "half a JPEG": Refused(
        JPEG[: len(JPEG) // 2], "truncated image (image file is truncated (133 bytes not processed))"
    ),
    "half a PNG": Refused(PNG[: len(PNG) // 2], "truncated image (image file is truncated)"),
    "JPEG with damaged bytes": Refused(
        JPEG[: len(JPEG) // 2] + b"\xff" * 20 + JPEG[len(JPEG) // 2 + 20 :],
        "unreadable image (broken data stream when reading image file)",
    ),
    "a small file that says it has 400 million pixels": Refused(
        png(20_000, 20_000),
        "too large an image (Image size (400000000 pixels) exceeds limit of 178956970 pixels)",
    ),
}
