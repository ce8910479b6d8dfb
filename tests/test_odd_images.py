"""Odd images are shown as people expect, or named: each kind of ``odd_images``."""

import warnings

import pytest
from odd_images import ODD, Refused, Shown, encoded
from PIL import Image

from fedbench import BrokenImage, StoredImages, open_image
from fedbench.data.reading import read_image
from fedbench.errors import UsageError

SHOWN = {name: case for name, case in ODD.items() if isinstance(case, Shown)}
REFUSED = {name: case for name, case in ODD.items() if isinstance(case, Refused)}


@pytest.mark.parametrize("case", SHOWN.values(), ids=SHOWN)
def test_an_odd_image_is_shown_as_people_expect(case):
    shown = open_image(case.stored)
    assert (shown.mode, shown.size) == ("RGB", case.size)
    for place, colour in case.pixels.items():
        assert shown.getpixel(place) == pytest.approx(colour, abs=6)


@pytest.mark.parametrize("case", REFUSED.values(), ids=REFUSED)
def test_a_broken_image_is_named_and_said_to_be_so(case):
    with pytest.raises(BrokenImage) as raised:
        open_image(case.stored)
    assert str(raised.value) == case.fault
    assert case.fault.startswith(raised.value.fault)


class Files(StoredImages):
    def __init__(self, *files):
        self.files = files

    def __len__(self):
        return len(self.files)

    def stored(self, number):
        return self.files[number]


def test_an_error_names_the_image_and_says_what_finds_the_others():
    images = Files(encoded(Image.new("RGB", (1, 1))), b"")
    assert read_image(images, 0, "data 'x'").size == (1, 1)
    with pytest.raises(UsageError) as raised:
        read_image(images, 1, "data 'x'")
    assert str(raised.value) == (
        "data 'x' can't read image 1: not an image (it is empty) — "
        "`fedbench data check` on the scenario lists every broken image"
    )


def test_a_large_photo_is_shown_without_a_warning(monkeypatch):
    """Pillow warns from half of what it refuses."""
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 100)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert open_image(encoded(Image.new("RGB", (15, 10)))).size == (15, 10)
        with pytest.raises(BrokenImage, match="too large an image"):
            open_image(encoded(Image.new("RGB", (30, 10))))
