"""The embedded data: as shipped, honestly split, used once, readable by the usual tools."""

import io
import shutil
from collections import defaultdict

import numpy as np
import pytest
import torch
from fedbench_emoji import assets, dataset
from fedbench_emoji.hooks import SCENARIOS, EmojiOptions
from fedbench_emoji.trunk import Lite0Trunk, preprocess
from PIL import Image

from fedbench.api.options import validated
from fedbench.catalog import Catalog
from fedbench.data.partition import checked
from fedbench.errors import UsageError
from fedbench.fingerprint import sha256_bytes
from fedbench.plugins import Plugins
from fedbench.scenario_files import load_scenario


@pytest.fixture(scope="module")
def data():
    return dataset.emoji(EmojiOptions())


@pytest.fixture(scope="module")
def drawings():
    return dataset.read_drawings()


def test_every_asset_is_as_shipped():
    on_disk = {
        path.relative_to(assets.FOLDER).as_posix()
        for path in assets.FOLDER.rglob("*")
        if path.is_file() and path.name != assets.SUMS
    }
    assert set(assets.verified("")) == on_disk


def test_a_damaged_or_missing_asset_is_named(tmp_path, monkeypatch):
    copy = tmp_path / "assets"
    shutil.copytree(assets.FOLDER, copy)
    monkeypatch.setattr(assets, "FOLDER", copy)
    with (copy / "emoji.parquet").open("r+b") as file:
        file.seek(1000)
        file.write(b"damage")
    with pytest.raises(UsageError, match=r"emoji.parquet: its sha256 is .* reinstall fedbench-emoji"):
        assets.verified("emoji.parquet")
    (copy / "nano" / "vision.safetensors").unlink()
    with pytest.raises(UsageError, match=r"vision\.safetensors: No such file"):
        assets.verified("nano/vision")


def test_parquet_loads_with_datasets(tmp_path):
    import datasets

    table = datasets.load_dataset(
        "parquet", data_files=str(assets.FOLDER / "emoji.parquet"), split="train", cache_dir=str(tmp_path)
    )
    row = table[0]
    assert row["image"].size == (64, 64) and row["image"].mode == "RGB"
    assert {"concept", "artist", "name", "keywords", "category", "kind", "split"} <= set(row)
    assert row["sha256"] == sha256_bytes(row["image"].tobytes())


def test_no_concept_name_or_image_is_in_two_splits(drawings):
    rows, encoded = drawings
    splits = defaultdict(set)
    for drawing in rows:
        pixels = Image.open(io.BytesIO(encoded[drawing.row])).convert("RGB").tobytes()
        splits["concept", drawing.concept.id].add(drawing.split)
        splits["name", drawing.concept.name].add(drawing.split)
        splits["image", sha256_bytes(pixels)].add(drawing.split)
    assert all(len(found) == 1 for found in splits.values())
    assert {d.split for d in rows} == {"train", "validation", "unseen"}


def test_training_never_meets_held_out_concepts_or_the_third_artist(data, drawings):
    by_row = {d.row: d for d in drawings[0]}
    trained = [by_row[unit] for unit in np.unique(data.pair_units)]
    assert {d.split for d in trained} == {"train"}
    assert {d.artist for d in trained} == {"noto", "twemoji"}
    held_out = [suite for suite in data.suites.values() if suite.split != "unseen-artist"]
    asked = {item.group for suite in held_out for item in suite.items}
    names = {d.concept.name for d in drawings[0] if d.concept.id in asked}
    read = {d.concept.name for d in trained} | {word for d in trained for word in d.concept.keywords}
    read |= {part for pair in data.pairs for part in pair.answer.split(", ")}
    assert len(names) > 200 and not names & read, "no asked name was ever a name, a keyword or an answer"
    for key, suite in data.suites.items():
        units = {int(data.units[item.image]) for item in suite.items}
        assert not units & set(data.pair_units.tolist()), key
        wanted = {"validation": "validation", "unseen-concept": "unseen", "unseen-artist": "train"}[
            suite.split
        ]
        assert {by_row[unit].split for unit in units} == {wanted}


def test_every_view_and_text_pair_occurs_once(data):
    pairs = [(pair.image, pair.prompt, pair.answer) for pair in data.pairs]
    assert len(set(pairs)) == len(pairs)


def test_suites_are_fair_questions(data):
    for suite in data.suites.values():
        for item in suite.items:
            if suite.form in ("choice", "yesno"):
                assert item.answer in item.choices and len(set(item.choices)) == len(item.choices)
    yesno = data.suites["unseen-concept/yesno"].items
    assert abs(np.mean([item.answer == "yes" for item in yesno]) - 0.5) < 0.01
    assert len(data.suites["unseen-concept/category"].items[0].choices) == 8
    assert all(len(item.choices) == 4 for item in data.suites["unseen-concept/name"].items)
    places = [item.choices.index(item.answer) for item in data.suites["unseen-concept/name"].items]
    assert max(np.bincount(places)) < 0.4 * len(places), "the right answer has no favourite place"


def test_views_are_pure_and_the_first_is_the_drawing(data):
    assert data.images[1].tobytes() == data.images[1].tobytes()
    assert data.images[0].tobytes() != data.images[1].tobytes()
    row, view = data.images.index[0]
    assert view == 0
    shipped = Image.open(io.BytesIO(data.images.encoded[row])).convert("RGB")
    assert data.images[0].tobytes() == shipped.tobytes()


@pytest.mark.parametrize("path", sorted(SCENARIOS.glob("*.toml")), ids=lambda path: path.stem)
def test_scenarios_deal_every_training_drawing_at_most_once(path, data):
    scenario = load_scenario(path)
    part, clients = scenario.partition, scenario.federation.clients
    entry = Catalog(Plugins()).partitioners[part.name]
    deal = entry.create(validated(entry.options, part.options, part.name))
    partition = checked(deal(data, clients, path.parent), data, clients, part.name)
    assert partition.fingerprint == part.sha256, "the deal is the published one"
    assert set(np.concatenate(partition.train)) <= set(np.unique(data.pair_units))
    assert not set(np.concatenate(partition.evaluation)) & set(np.unique(data.pair_units))


def test_scenarios_pin_their_content():
    for path in SCENARIOS.glob("*.toml"):
        scenario = load_scenario(path)
        assert scenario.data.sha256 and scenario.backbone.sha256 and scenario.partition.sha256


def test_trunk_gives_standardised_tokens(data):
    trunk = Lite0Trunk.from_safetensors(assets.FOLDER / "nano" / "vision.safetensors")
    with torch.inference_mode():
        features = trunk(preprocess([data.images[i] for i in range(0, 1600, 25)]))
    assert features.shape == (64, 4, 112) and features.dtype == torch.float32
    assert features.mean().abs() < 0.3 and 0.5 < features.std() < 1.5
