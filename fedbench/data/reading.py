"""Reading a data set's images one at a time, with an error that names the one that is broken."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING

from fedbench.data.conversion import as_rgb
from fedbench.data.decoding import BrokenImage
from fedbench.errors import FedbenchError, UsageError

if TYPE_CHECKING:
    from PIL.Image import Image

CHECK = "`fedbench data check` on the scenario lists every broken image"


def read_image(images: Sequence[Image], number: int, owner: str) -> Image:
    """Open image ``number`` in RGB; ``owner`` says whose the images are, for errors.

    Raises :class:`UsageError` for a broken image, :class:`FedbenchError` if something else fails.
    """
    with naming(number, owner):
        return as_rgb(images[number])


@contextmanager
def naming(number: int, owner: str) -> Iterator[None]:
    """Make an error in the block one that names image ``number`` and its ``owner``; one of ours passes."""
    what = f"{owner} can't read image {number}"
    try:
        yield
    except FedbenchError:
        raise
    except (BrokenImage, FileNotFoundError) as error:
        raise UsageError(what, why=error, fix=CHECK) from error
    except Exception as error:
        why = f"{type(error).__name__}: {error}"
        raise FedbenchError(what, why=why, fix="FEDBENCH_DEBUG=1 shows where") from error
