"""Data is checked before anything is encoded: nothing is bent or vanishes, and what is at fault is named."""

from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
from PIL import Image

from fedbench import AlignmentData, Item, MetricSpec, Pair, Preference, PreferenceData, Suite, as_rgb
from fedbench.catalog import Catalog
from fedbench.data.checks import check_data, check_evaluation
from fedbench.data.partitioners import LabelOptions, natural
from fedbench.errors import UsageError
from fedbench.evaluation.metrics import matches
from fedbench.plugins import Plugins

FORMS = Catalog(Plugins()).forms
ITEM = Item(image=2, prompt="what?", answer="cat", group="cat", choices=("cat", "dog"))


def suite(form="choice", items=(ITEM,), name="name"):
    return Suite("test", name, form, tuple(items))


def data(**changes):
    """Two pictures to learn from and one to ask about."""
    made = suite()
    fields = {
        "name": "pets",
        "image_fingerprint": "0" * 64,
        "images": ["a dog", "a cat", "another cat"],
        "units": np.array([0, 1, 2]),
        "pairs": (Pair(0, "what?", "dog"), Pair(1, "what?", "cat")),
        "suites": {made.key: made},
        "labels": {"animal": ["dog", "cat", "cat"]},
    }
    return AlignmentData(**(fields | changes))


def asked(*items, form="choice"):
    made = suite(form, items)
    return {"suites": {made.key: made}}


BAD = {
    "an image that is not there": ({"pairs": (Pair(3, "", "dog"),)}, "pair 0 is about image 3, of 3"),
    "no image": ({"pairs": (Pair(None, "", "dog"),)}, "pair 0 is about image None"),
    "a list for a text": (
        {"pairs": (Pair(0, "", "dog"), Pair(1, "", ["a cat"]))},
        "pair 1 has the answer \"['a cat']\" of type list, not a text",
    ),
    "a number for a text": (
        {"pairs": (Pair(0, "", 5),)},
        "pair 0 has the answer '5' of type int, not a text",
    ),
    "no group": (
        asked(replace(ITEM, group=None)),
        "item of test/name 0 has the group 'None' of type NoneType",
    ),
    "an answer that is no choice": (
        asked(replace(ITEM, answer="Cat")),
        "item 0 of test/name has the answer 'Cat', its choices are 'cat', 'dog'",
    ),
    "no choices": (asked(replace(ITEM, choices=())), "its choices are none"),
    "yes, no and perhaps": (
        asked(replace(ITEM, answer="yes", choices=("yes", "no", "perhaps")), form="yesno"),
        "item 0 of test/name has 3 choices, not yes and no",
    ),
    "one text for choices": (
        asked(replace(ITEM, choices="cat")),
        "has the choices 'cat', not a tuple of texts",
    ),
    "references without the answer": (
        asked(replace(ITEM, references=("kitten", "feline")), form="generate"),
        "item 0 of test/name has the answer 'cat', its references are 'kitten', 'feline'",
    ),
    "one text for references": (
        asked(replace(ITEM, references="cat"), form="generate"),
        "has the references 'cat', not a tuple of texts",
    ),
    "a reference that is a number": (
        asked(replace(ITEM, references=("cat", 2)), form="generate"),
        "has the references ('cat', 2), not a tuple of texts",
    ),
    "a form that there is not": (
        asked(ITEM, form="chioce"),
        "suite 'test/name': unknown form 'chioce' — did you mean 'choice'?",
    ),
    "a suite under another name": (
        {"suites": {"test/x": suite()}},
        "its suite 'test/x' calls itself 'test/name'",
    ),
    "units of too few images": ({"units": np.array([0, 1])}, "it has 3 images and units of shape [2]"),
    "a unit below all": ({"units": np.array([0, 1, -2])}, "it has 3 images and units of shape [3]"),
    "nobody's image in training": (
        {"units": np.array([-1, 0, 1])},
        "clients learn from images of no unit (-1), which nobody has",
    ),
    "a null label": (
        {"labels": {"animal": ["dog", None, "cat"]}},
        "label 'animal' of unit 1 is None, not a text",
    ),
    "too few labels": (
        {"labels": {"animal": ["dog", "cat"]}},
        "label 'animal' has 2 values for units up to 2",
    ),
    "a test image in training": (
        {"pairs": (Pair(0, "", "dog"), Pair(2, "", "cat"))},
        "1 of the 1 entries of 'item of test/name' are about images that clients learn from, such as entry 0",
    ),
    "a view of a test image in training": (
        {"units": np.array([0, 1, 1])},
        "are about images that clients learn from, such as entry 0 (image 2)",
    ),
}


@pytest.mark.parametrize(("changes", "said"), BAD.values(), ids=BAD.keys())
def test_data_that_would_be_bent_is_refused(changes, said):
    check_data(data(), "data 'pets' of plugin mine:mine 1.0", FORMS)
    with pytest.raises(UsageError) as raised:
        check_data(data(**changes), "data 'pets' of plugin mine:mine 1.0", FORMS)
    assert str(raised.value).startswith("data 'pets' of plugin mine:mine 1.0 can't be used: ")
    assert said in str(raised.value)


def test_public_questions_about_a_clients_image_are_refused():
    preference = Preference(0, "what?", "dog", "cat")
    made = PreferenceData(
        **vars(data(pairs=(preference,))) | {"queries": (replace(ITEM, image=0),), "comparisons": ()}
    )
    with pytest.raises(UsageError, match="1 of the 1 entries of 'query' are about images that clients learn"):
        check_data(made, "data", FORMS)


def scenario(*metrics, each=("test/name",), primary="test/name/accuracy"):
    evaluation = SimpleNamespace(primary=primary, metrics=metrics, each_round=each, final=())
    return SimpleNamespace(name="small", evaluation=evaluation)


def metric(name, form="choice", values=("accuracy",)):
    return MetricSpec(name=name, factory="json:loads", summary="", form=form, values=values)


EVALUATIONS = {
    "an empty suite": (
        data(**asked()),
        [metric("choice")],
        "evaluates 'test/name', which is empty in data 'pets'",
    ),
    "one name for two values": (
        data(),
        [metric("choice"), metric("mine", values=("f1", "accuracy"))],
        "metrics choice, mine both give 'accuracy': one would overwrite the other",
    ),
    "no metric for a form": (
        data(),
        [metric("yesno", "yesno")],
        "none of its metrics is for the form 'choice'",
    ),
    "no such suite": (
        data(suites={}),
        [metric("choice")],
        "evaluates 'test/name', which data 'pets' does not have",
    ),
    "no such value": (data(), [metric("choice", values=("f1",))], "there is no primary metric"),
}


@pytest.mark.parametrize(("held", "metrics", "said"), EVALUATIONS.values(), ids=EVALUATIONS.keys())
def test_an_evaluation_that_would_measure_nothing_is_refused(held, metrics, said):
    check_evaluation(scenario("choice"), data(), [metric("choice")], FORMS)
    with pytest.raises(UsageError, match="scenario 'small'") as raised:
        check_evaluation(scenario(*(m.name for m in metrics)), held, metrics, FORMS)
    assert said in str(raised.value)


def test_one_word_in_two_spellings_is_one_word(tmp_path):
    """NFC and NFD: é as one character, or as e and an accent."""
    composed, apart = "caf\u00e9", "cafe\u0301"
    rows = {
        "prediction": [apart, composed, "cafe"],
        "references": [[composed], [apart], [composed]],
        "parsed": [True] * 3,
    }
    assert matches(rows).tolist() == [True, True, False]
    spelt = data(labels={"animal": [composed, apart, composed]})
    assert set(spelt.label("animal").tolist()) == {composed}
    assert len(natural(LabelOptions(label="animal"))(spelt, 1, tmp_path).train) == 1


RAMP = np.linspace(0, 1, 256)[None].repeat(2, 0)


@pytest.mark.parametrize(
    ("image", "low", "high"),
    [
        (Image.fromarray((RAMP * 65535).astype(np.uint16)), 0, 255),
        (Image.fromarray((RAMP * 65535).astype(np.int32)), 0, 255),
        (Image.fromarray((RAMP * 200).astype(np.int32)), 0, 200),
        (Image.fromarray(RAMP.astype(np.float32)), 0, 255),
        (Image.fromarray((RAMP * 255).astype(np.float32)), 0, 255),
        (Image.fromarray((RAMP * 255).astype(np.uint8)), 0, 255),
    ],
    ids=["16 bits", "32 bits", "32 bits, small values", "floats to 1", "floats to 255", "8 bits"],
)
def test_deep_images_keep_their_shades(image, low, high):
    shown = np.asarray(as_rgb(image))
    assert shown.shape == (2, 256, 3) and shown.dtype == np.uint8
    assert (shown.min(), shown.max()) == (low, high) and len(np.unique(shown)) > 190


@pytest.mark.parametrize("values", [[[-1.0]], [[float("nan")]], [[1e9]]])
def test_values_that_are_no_shade_are_refused(values):
    with pytest.raises(ValueError, match="which no image of 8 or 16 bits has"):
        as_rgb(Image.fromarray(np.array(values, dtype=np.float32)))


def test_transparency_lies_on_white():
    disc = Image.new("RGBA", (9, 9), (0, 0, 0, 0))
    disc.putpixel((4, 4), (0, 0, 0, 255))
    disc.putpixel((0, 0), (0, 0, 0, 128))
    palette = disc.convert("P")
    palette.info["transparency"] = palette.getpixel((8, 8))
    for image in (disc, disc.convert("LA")):
        shown = as_rgb(image)
        assert shown.mode == "RGB" and shown.getpixel((8, 8)) == (255, 255, 255)
        assert shown.getpixel((4, 4)) == (0, 0, 0) and shown.getpixel((0, 0)) == (127, 127, 127)
    assert as_rgb(palette).getpixel((8, 8)) == (255, 255, 255)


def test_a_photo_stands_upright():
    photo = Image.new("RGB", (4, 2), "red")
    photo.getexif()[0x0112] = 6
    assert as_rgb(photo).size == (2, 4)
    plain = Image.new("RGB", (4, 2), "red")
    assert as_rgb(plain) is plain


@pytest.mark.parametrize("mode", ["1", "L", "P", "CMYK", "YCbCr", "HSV", "LA", "RGBA", "RGBX"])
def test_every_other_kind_of_image_is_shown(mode):
    assert (
        as_rgb(
            Image.new("RGB", (2, 2), "white").convert("RGB").convert(mode if mode != "RGBX" else "RGB")
        ).mode
        == "RGB"
    )
