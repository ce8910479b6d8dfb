"""Where files lie is no part of a run's identity: data in another folder are the same data."""

import json
import os
import shutil
import subprocess
import sys

import numpy as np
import pytest
from conftest import install_plugin
from PIL import Image

from fedbench.catalog import Catalog
from fedbench.errors import UsageError
from fedbench.plugins import Plugins
from fedbench.results.store import read_record
from fedbench.scenario_files import load_scenario

HOOKS = """\
from fedbench import DatasetSpec, Location, Options, hookimpl

class Folder(Options):
    folder: Location
    extra: Location | None = None
    most: int = 64

@hookimpl
def fedbench_register_datasets():
    yield DatasetSpec(name="shots", factory="shots.dataset:read", summary="of a folder", options=Folder)
"""
DATASET = """\
from pathlib import Path
import numpy as np
from PIL import Image
from fedbench import AlignmentData, Item, Pair, Suite, UsageError, sha256_bytes, sha256_json

SHADES = ("dark", "light")

def read(options):
    files = sorted(Path(options.folder).glob("*.png"))[: options.most]
    if not files:
        raise UsageError("no images", where=options.folder)
    answers = [SHADES[i % 2] for i in range(len(files))]
    asked = range(48, len(files))
    items = tuple(Item(i, "which shade ?", answers[i], group=str(i), choices=SHADES) for i in asked)
    return AlignmentData(
        name="shots",
        image_fingerprint=sha256_json([sha256_bytes(file.read_bytes()) for file in files]),
        images=[Image.open(file) for file in files],
        units=np.arange(len(files)),
        pairs=tuple(Pair(i, "which shade ?", answers[i]) for i in range(48)),
        suites={"test/shade": Suite("test", "shade", "choice", items)},
        labels={"ward": [f"ward {i // 2 % 2}" for i in range(len(files))]},
    )
"""
SCENARIO = """\
name = "wards"
version = 1
track = "alignment"
summary = "images of two wards"

[backbone]
name = "nano"

[data]
name = "shots"
files.folder = "photos"

[partition]
name = "natural"
options.label = "ward"

[federation]
clients = 2
rounds = 1

[training]
batch_size = 4
lr = 1e-3
hidden = 8

[evaluation]
primary = "test/shade/accuracy"
metrics = ["choice"]
each_round = ["test/shade"]
final = ["test/shade"]
"""


@pytest.fixture
def wards(tmp_path, tiny):
    """A scenario beside its photos, in the folder ``first``; the data set's plugin is installed."""
    install_plugin(tmp_path / "site", "shots", {"hooks.py": HOOKS, "dataset.py": DATASET})
    folder = tmp_path / "first"
    (folder / "photos").mkdir(parents=True)
    (folder / "wards.toml").write_text(SCENARIO)
    for number in range(64):
        level = number + 150 * (number % 2)
        Image.fromarray(np.full((8, 8, 3), level, np.uint8)).save(folder / "photos" / f"{number:02}.png")
    return folder


@pytest.fixture
def run(wards):
    """Run ``fedbench`` in a process of its own, from the folder above the scenario's."""

    def run(*arguments, cwd=wards.parent):
        path = os.pathsep.join([str(wards.parent / "site"), os.environ["PYTHONPATH"]])
        environment = os.environ | {"PYTHONPATH": path}
        command = [sys.executable, "-m", "fedbench", *map(str, arguments)]
        return subprocess.run(command, env=environment, cwd=cwd, capture_output=True, text=True, timeout=250)

    return run


def record_in(folder):
    (path,) = folder.rglob("record.json")
    return read_record(path)


@pytest.mark.slow
def test_the_same_data_in_another_folder_are_the_same_run(wards, run):
    """The scenario with its photos is moved; the photos alone are; and the command in the record runs."""
    assert run("run", "-m", "fedavg", "-s", wards / "wards.toml").returncode == 0
    record = record_in(wards.parent / "runs")
    assert str(wards.parent) not in record.model_dump_json()

    moved = wards.parent / "elsewhere" / "second"
    shutil.copytree(wards, moved)
    again = run("run", "-m", "fedavg", "-s", "elsewhere/second/wards.toml")
    assert again.returncode == 0 and "1 of 1 runs were done already" in again.stderr, again.stderr

    (moved / "photos").rename(moved / "pictures")
    place = ["--set", "data.files.folder=pictures", "--output", "../../runs"]
    third = run("run", "-m", "fedavg", "-s", "wards.toml", "--seeds", "1", *place, cwd=moved)
    assert third.returncode == 0, third.stderr
    other = read_record(wards.parent / "runs/wards@1/fedavg/seed-1/record.json")
    assert other.scenario.fingerprint == record.scenario.fingerprint and other.scenario.changes == {}
    assert other.identity.data_sha256 == record.identity.data_sha256
    assert "--set data.files.folder=pictures" in " ".join(other.command)
    compared = run("compare", "runs", "--format", "json")
    assert compared.returncode == 0, compared.stderr
    assert [row["seeds"] for row in json.loads(compared.stdout)] == [[0, 1]]


@pytest.mark.slow
def test_a_record_s_command_makes_the_same_bits(wards, run):
    """Of a run with its own number of threads and of clients in a pass, as the matrix did not ask for."""
    asked = [
        "-m",
        "fedavg",
        "-m",
        "fedprox",
        "-o",
        "fedprox.mu=0.5",
        "--set",
        "training.lr=0.01",
        "--seeds",
        "0-1",
    ]
    done = run("run", *asked, "-s", wards / "wards.toml", "--threads", "2", "--executor", "batched:1")
    assert done.returncode == 0, done.stderr
    folder = next(wards.parent.glob("runs/*/fedprox*/seed-1"))
    record = read_record(folder / "record.json")
    place = "--seeds 1 -o mu=0.5 --set training.lr=0.01 --device cpu --executor serial --threads 2"
    command = f"fedbench run -m baselines/fedprox -s wards.toml {place}"
    assert " ".join(record.command) == command and record.identity.threads == 2
    again = run(*record.command[1:], "--output", "again", cwd=wards)
    assert again.returncode == 0, again.stderr
    repeated = record_in(wards / "again")
    assert [entry.digest for entry in repeated.rounds] == [entry.digest for entry in record.rounds]
    assert repeated.final == record.final and repeated.command == record.command


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (
            {"data.options.folder": "photos"},
            "option 'folder' says where files lie: .* name it data.files.folder",
        ),
        ({"data.options.extra": "photos"}, "option 'extra' says where files lie"),
        ({"data.files.most": "3"}, "data 'shots' has no files 'most': its files are: folder, extra"),
        ({"data.files.folder": 3}, "bad value for 'data.files.folder'"),
        ({"partition.files.label": "ward"}, "partition 'natural' has no files 'label': its files are: none"),
    ],
)
def test_where_files_lie_stands_apart_from_what_changes_a_number(wards, monkeypatch, change, said):
    monkeypatch.syspath_prepend(str(wards.parent / "site"))
    with pytest.raises(UsageError, match=said):
        Catalog(Plugins(strict=True)).resolve(load_scenario(wards / "wards.toml", change))


def test_a_path_begins_at_the_scenario_s_file_and_one_that_is_typed_where_it_is_typed(wards, monkeypatch):
    monkeypatch.syspath_prepend(str(wards.parent / "site"))
    catalog = Catalog(Plugins(strict=True))

    def folder(changes=None):
        return catalog.resolve(load_scenario(wards / "wards.toml", changes)).data.options.folder

    assert folder() == str(wards / "photos")
    assert folder({"data.files.folder": "./nowhere"}) == str(wards / "nowhere")
    assert folder({"data.files.folder": "org/name"}) == "org/name"  # of the Hub, perhaps
    (wards.parent / "typed").mkdir()
    monkeypatch.chdir(wards.parent)
    moved = load_scenario(wards / "wards.toml", {"data.files.folder": "typed"})
    assert catalog.resolve(moved).data.options.folder == str(wards.parent / "typed")
    plain = load_scenario(wards / "wards.toml")
    assert moved.fingerprint == plain.fingerprint and not moved.modified
    assert moved.changed({"training.lr": 0.5}).moves == moved.moves
    assert catalog.resolve(moved).key != catalog.resolve(plain).key
