"""``fedbench data check``: what is broken is listed by kind and number, what is whole is counted."""

import json
from importlib import invalidate_caches
from pathlib import Path

import pytest
from conftest import install_plugin
from odd_images import ODD, Refused, encoded
from odd_texts import KEPT
from PIL import Image

DATASET = """
import json
import numpy as np
from pathlib import Path
from pydantic import Field
from fedbench import (AlignmentData, DatasetSpec, Item, Location, Options, Pair, StoredImages, Suite,
                      UsageError, hookimpl)

class FolderOptions(Options):
    path: Location = Field(description="folder of images, with texts.json")
    skip_broken: bool = Field(False, description="leave out rows without a text")

class Files(StoredImages):
    def __init__(self, files):
        self.files = files
    def __len__(self):
        return len(self.files)
    def stored(self, number):
        return self.files[number].read_bytes()

def folder(options):
    files = sorted(Path(options.path).glob("*.img"))
    texts = json.loads(Path(options.path, "texts.json").read_text())
    empty = tuple(row for row, text in enumerate(texts) if text == "-")
    if empty and not options.skip_broken:
        raise UsageError(f"row {empty[0]} of data 'folder' has no text")
    rows = [row for row in range(len(texts)) if row not in empty]
    train, asked = rows[:-4], rows[-4:]
    items = tuple(Item(row, "what is it?", texts[row], group=str(row)) for row in asked)
    suite = Suite("test", "caption", "caption", items)
    return AlignmentData(
        name="folder", image_fingerprint="0" * 64, images=Files(files), units=np.arange(len(files)),
        pairs=tuple(Pair(row, "what is it?", texts[row]) for row in train), suites={suite.key: suite},
        labels={"half": ["\\x1b[31mfirst" if row % 2 else "second" for row in range(len(files))]},
        left_out={"no text": empty},
    )

@hookimpl
def fedbench_register_datasets():
    yield DatasetSpec("folder", "odd_data.hooks:folder", "a folder", FolderOptions)
"""

SCENARIO = """
name = "mine"
version = 1
track = "alignment"
summary = "a folder"
[backbone]
name = "nano"
[data]
name = "folder"
files.path = "data"
[data.options]
skip_broken = {skip}
[partition]
name = "iid"
[federation]
clients = 2
rounds = 1
[training]
batch_size = 4
lr = 1e-3
hidden = 16
[evaluation]
primary = "test/caption/nll"
metrics = ["caption"]
each_round = ["test/caption"]
final = ["test/caption"]
controls = []
"""


@pytest.fixture
def folder(tmp_path, monkeypatch, fedbench):
    """Write ``mine.toml`` and its data: images and texts, one each; broken texts are left out if ``skip``."""
    install_plugin(tmp_path / "plugin", "odd-data", {"hooks.py": DATASET})
    monkeypatch.syspath_prepend(str(tmp_path / "plugin"))
    invalidate_caches()

    def write(images, texts, skip=False):
        data = tmp_path / "here" / "data"
        data.mkdir()
        for number, image in enumerate(images):
            (data / f"{number:03d}.img").write_bytes(image)
        (data / "texts.json").write_text(json.dumps(texts))
        (tmp_path / "here" / "mine.toml").write_text(SCENARIO.format(skip=str(skip).lower()))

    return write


def pictures(number):
    return [encoded(Image.new("RGB", (4 + row, 3), (row, 7 * row % 256, 9))) for row in range(number)]


def words(number):
    return [f"picture {row}" for row in range(number)]


def replace(file, old, new):
    """Change a text of a file in the working folder."""
    text = Path(file).read_text()
    assert old in text
    Path(file).write_text(text.replace(old, new))


def checked(fedbench, *more, name="mine.toml"):
    code, out, err = fedbench("data", "check", name, "--format", "json", *more)
    assert out, err
    return code, json.loads(out), err


def test_whole_data_is_counted(folder, fedbench):
    folder([*pictures(12), encoded(Image.new("RGB", (4, 3), (0, 0, 9)))], words(13))
    code, found, _ = checked(fedbench)
    assert (code, found["broken"], found["left_out"]) == (1, found["broken"], [])
    (shared,) = found["broken"]
    assert (shared["kind"], shared["what"], shared["numbers"]) == ("trained on as well", "image", [12])
    assert found["rows"] == {"pairs": 9} and found["images"]["repeated"] == 1
    assert found["images"]["largest"] == [15, 3] and found["fingerprint"] is None
    assert [client["pairs"] for client in found["heterogeneity"]["clients"]] == [4, 5]
    (suite,) = found["suites"]
    assert (suite["suite"], suite["items"], suite["form"]) == ("test/caption", 4, "caption")
    assert found["features"]["shape"] == [13, 4, 112]
    assert found["features"]["bytes"] == 13 * 4 * 112 * 4 and found["features"]["estimated_seconds"] > 0


def test_sound_data_has_a_fingerprint_to_pin_and_a_picture(folder, fedbench):
    folder(pictures(12), words(12))
    code, out, err = fedbench("data", "check", "mine.toml", "--picture", "mine.svg")
    assert code == 0 and "broken" not in out and "wrote mine.svg" in err
    assert "an estimate from 12 images" in out
    assert "\x1b" not in out + err, "a label may not write to the terminal"
    _, found, _ = checked(fedbench)
    replace("mine.toml", 'name = "folder"', f'name = "folder"\nsha256 = "{found["fingerprint"]}"')
    assert checked(fedbench)[0] == 0
    replace("data/texts.json", "picture 3", "picture three")
    code, found, _ = checked(fedbench)
    assert code == 1 and [fault["kind"] for fault in found["broken"]] == ["other content than is pinned"]


def test_every_broken_image_is_listed_by_kind_and_number(folder, fedbench):
    broken = {name: case.stored for name, case in ODD.items() if isinstance(case, Refused)}
    folder([*pictures(8), *broken.values()], words(8 + len(broken)))
    code, found, err = checked(fedbench)
    assert code == 1 and "Traceback" not in err and "Warning" not in err
    numbers = {fault["kind"]: fault["numbers"] for fault in found["broken"] if fault["what"] == "image"}
    place = {name: 8 + number for number, name in enumerate(broken)}
    assert numbers["not an image"] == [place[name] for name in broken if "not an" in ODD[name].fault]
    assert numbers["truncated image"] == [place["half a JPEG"], place["half a PNG"]]
    assert numbers["unreadable image"] == [place["JPEG with damaged bytes"]]
    assert numbers["too large an image"] == [place["a small file that says it has 400 million pixels"]]
    code, _, err = fedbench("run", "-m", "fedavg", "-s", "mine.toml")
    assert code == 2 and "can't read image 8: not an image" in err


def test_rows_that_are_left_out_are_broken_unless_the_scenario_says_so(folder, fedbench):
    folder(pictures(12), ["-", *words(12)[1:6], "-", *words(12)[7:]])
    code, found, _ = checked(fedbench)
    (rows,) = found["broken"]
    assert code == 1 and (rows["kind"], rows["what"], rows["numbers"]) == ("no text", "row", [0, 6])
    assert found["rows"] == {"pairs": 6}
    replace("mine.toml", "skip_broken = false", "skip_broken = true")
    code, found, _ = checked(fedbench)
    assert (code, found["broken"]) == (0, []) and found["left_out"][0]["numbers"] == [0, 6]
    assert found["fingerprint"]


def test_texts_longer_than_the_model_reads_are_listed(folder, fedbench):
    folder(pictures(12), [*words(3), "a cat " * 200, *words(8)])
    code, found, _ = checked(fedbench)
    (long,) = found["broken"]
    assert code == 1 and (long["kind"], long["what"], long["numbers"]) == ("too long a text", "pair", [3])
    assert "pair 3 has 40" in long["example"] and "'nano' is made for 128" in long["example"]
    code, _, err = fedbench("run", "-m", "fedavg", "-s", "mine.toml")
    assert code == 2 and "pair 3 has 40" in err


def test_odd_images_and_texts_are_trained_on(folder, fedbench):
    """A whole run over every odd image that can be shown, with every odd text."""
    images = [case.stored for case in ODD.values() if not isinstance(case, Refused)]
    folder(images, [*KEPT.values(), *words(len(images) - len(KEPT))])
    assert checked(fedbench)[0] == 0
    code, _, err = fedbench("run", "-m", "fedavg", "-s", "mine.toml")
    assert code == 0, err


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("nowhere.toml",), "nowhere.toml"),
        (("emoji-iii",), "did you mean 'emoji-ii'?"),
        (("emoji-ii", "--picture", "x.jpg"), "can't tell the format of picture x.jpg"),
        (("emoji-ii", "--label", "colour"), "has no label 'colour'"),
    ],
)
def test_what_can_not_be_asked_is_refused(fedbench, arguments, said):
    code, out, err = fedbench("data", "check", *arguments)
    assert (code, out) == (2, "") and said in err


def test_an_unknown_sub_command_is_named(fedbench):
    code, _, err = fedbench("data", "chekc")
    assert code == 2 and "unknown command 'data chekc' — did you mean 'check'?" in err
