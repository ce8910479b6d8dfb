"""Partitions and the feature cache: what is refused, what is shared, what survives damage."""

import json
import multiprocessing
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from filelock import FileLock
from PIL import Image

from fedbench.data import AlignmentData, Item, Pair, Partition, Suite
from fedbench.data.content import check_held_out, image_digests
from fedbench.data.features import FeatureCache, cache_folder
from fedbench.data.partition import checked
from fedbench.data.partitioners import (
    DirichletOptions,
    LabelOptions,
    ManifestOptions,
    QuantityOptions,
    SeededOptions,
    ShardsOptions,
    dirichlet,
    iid,
    manifest,
    natural,
    quantity,
    shards,
)
from fedbench.errors import FedbenchError, UsageError
from fedbench.fingerprint import sha256_file
from fedbench.results.records import RoundEntry
from fedbench.runs.evaluation import Diverged, RunEvaluator
from fedbench.runs.loading import batches


@pytest.fixture
def data():
    """Six training units with two views each, four held-out units."""
    units = np.array([0, 0, 1, 1, 2, 2, 3, 3, 4, 4, 5, 5, 6, 7, 8, 9])
    pairs = tuple(Pair(image, "what?", f"answer {image}") for image in range(12))
    items = tuple(Item(image, "what?", "x", str(image)) for image in range(12, 16))
    suites = {"unseen/caption": Suite("unseen", "caption", "caption", items)}
    return AlignmentData("toy", "i", [None] * 16, units, pairs, suites)


def test_the_fingerprint_covers_images_pairs_and_items(data):
    items = data.suites["unseen/caption"].items
    asked = Suite("unseen", "caption", "caption", (replace(items[0], answer="y"), *items[1:]))
    others = [
        replace(data, image_fingerprint="j"),
        replace(data, pairs=data.pairs[:-1]),
        replace(data, pairs=(replace(data.pairs[0], answer="else"), *data.pairs[1:])),
        replace(data, suites={"unseen/caption": asked}),
    ]
    assert len({data.fingerprint, *(other.fingerprint for other in others)}) == 5
    assert replace(data).fingerprint == data.fingerprint


def test_all_views_of_an_image_stay_with_one_client(data):
    partition = Partition((np.array([0, 2, 4]), np.array([1, 3, 5])), (np.array([6, 7]), np.array([8])))
    first, second = checked(partition, data, 2, "p").shards(data)
    assert first.tolist() == [0, 1, 4, 5, 8, 9] and second.tolist() == [2, 3, 6, 7, 10, 11]
    assert [partition.client_of(unit) for unit in (6, 8, 9)] == [0, 1, None]


@pytest.mark.parametrize(
    ("train", "clients", "problem"),
    [
        ([[0, 1], [1, 2]], 2, "belongs to two clients"),
        ([[0], [1], [2]], 2, "has 3 clients, the scenario 2"),
        ([[0], [99]], 2, "not in the data"),
        ([[0], []], 2, "client 1 has no training pair"),
        ([[0], [7]], 2, "client 1 has no training pair"),
    ],
)
def test_a_partition_that_does_not_fit_is_refused(data, train, clients, problem):
    sides = tuple(np.array(units, dtype=np.int64) for units in train)
    with pytest.raises(UsageError, match=problem):
        checked(Partition(sides, tuple(np.array([], dtype=np.int64) for _ in sides)), data, clients, "p")


def test_iid_is_a_seeded_disjoint_cover(data):
    dealt = [iid(SeededOptions(seed=seed))(data, 3, Path()) for seed in (0, 0, 1)]
    assert dealt[0].fingerprint == dealt[1].fingerprint != dealt[2].fingerprint
    assert sorted(np.concatenate(dealt[0].train)) == list(range(6))
    assert sorted(np.concatenate(dealt[0].evaluation)) == [6, 7, 8, 9]
    checked(dealt[0], data, 3, "iid")


@pytest.fixture
def labelled():
    """600 training and 150 held-out units of five classes by two makers."""
    rng = np.random.default_rng(0)
    units = np.arange(750)
    pairs = tuple(Pair(image, "what?", str(image)) for image in range(600))
    items = tuple(Item(image, "what?", "x", str(image)) for image in range(600, 750))
    labels = {
        "class": [f"c{code}" for code in rng.integers(0, 5, 750)],
        "maker": [("ann", "bob")[code] for code in rng.integers(0, 2, 750)],
    }
    suites = {"unseen/caption": Suite("unseen", "caption", "caption", items)}
    return AlignmentData("toy", "i", [None] * 750, units, pairs, suites, labels)


def histograms(partition, data, label, side="train"):
    values = np.asarray(data.labels[label])
    kinds = np.unique(values)
    return np.array([[(values[units] == kind).sum() for kind in kinds] for units in getattr(partition, side)])


EVERY = [
    iid(SeededOptions()),
    dirichlet(DirichletOptions(label="class")),
    shards(ShardsOptions(label="class")),
    quantity(QuantityOptions()),
]


@pytest.mark.parametrize("deal", EVERY, ids=["iid", "dirichlet", "shards", "quantity"])
@pytest.mark.parametrize("clients", [1, 4, 20])
def test_every_partitioner_is_a_disjoint_cover(labelled, deal, clients):
    partition = checked(deal(labelled, clients, Path()), labelled, clients, "p")
    assert sorted(np.concatenate(partition.train)) == list(range(600))
    assert sorted(np.concatenate(partition.evaluation)) == list(range(600, 750))
    assert partition.fingerprint == deal(labelled, clients, Path()).fingerprint


def test_dirichlet_skews_labels_more_as_alpha_falls(labelled):
    def skew(alpha):
        counts = histograms(
            dirichlet(DirichletOptions(label="class", alpha=alpha))(labelled, 5, Path()), labelled, "class"
        )
        shares = counts / counts.sum(0)
        return shares.max(0).mean()

    assert skew(0.1) > 0.6 > skew(1.0) > skew(1000.0)
    assert skew(1000.0) == pytest.approx(0.2, abs=0.03)


def test_held_out_units_follow_the_training_proportions(labelled):
    partition = dirichlet(DirichletOptions(label="class", alpha=0.3))(labelled, 4, Path())
    train, held_out = (histograms(partition, labelled, "class", side) for side in ("train", "evaluation"))
    assert np.abs(train / train.sum(0) - held_out / held_out.sum(0)).max() < 0.05


def test_shards_give_each_client_few_labels(labelled):
    counts = histograms(
        shards(ShardsOptions(label="class", per_client=2))(labelled, 10, Path()), labelled, "class"
    )
    assert counts.sum(1).tolist() == [60] * 10
    assert ((counts > 0).sum(1) <= 4).all()


def test_natural_clients_are_the_labels_values(labelled):
    partition = natural(LabelOptions(label="maker"))(labelled, 2, Path())
    assert (histograms(partition, labelled, "maker") > 0).tolist() == [[True, False], [False, True]]
    with pytest.raises(UsageError, match="takes 2 values in the training data, the scenario has 3 clients"):
        natural(LabelOptions(label="maker"))(labelled, 3, Path())


def test_quantity_skews_sizes(labelled):
    sizes = histograms(quantity(QuantityOptions(alpha=0.5))(labelled, 6, Path()), labelled, "class").sum(1)
    assert sizes.max() > 3 * sizes.min()


def test_too_small_a_client_is_a_clear_error(labelled):
    with pytest.raises(UsageError, match=r"leaves a client with \d+ units, fewer than least=200"):
        dirichlet(DirichletOptions(label="class", alpha=0.1, least=200))(labelled, 5, Path())
    with pytest.raises(UsageError, match=r"has no label 'colour' — there are: class, maker"):
        dirichlet(DirichletOptions(label="colour"))(labelled, 5, Path())


def test_a_manifest_must_be_the_one_that_was_shipped(data, tmp_path):
    path = tmp_path / "clients.json"
    path.write_text(json.dumps({"train": [[0, 1], [2]], "evaluation": [[6], [7]]}))
    options = ManifestOptions(file="clients.json", sha256=sha256_file(path))
    assert manifest(options)(data, 2, tmp_path).train[0].tolist() == [0, 1]
    path.write_text(path.read_text().replace("2", "3"))
    with pytest.raises(UsageError, match="not the one the scenario was made with"):
        manifest(options)(data, 2, tmp_path)
    path.write_text('{"train": [[0]]}')
    with pytest.raises(UsageError, match=r"can't read the partition manifest .*: 'evaluation' is not there"):
        manifest(ManifestOptions(file="clients.json", sha256=sha256_file(path)))(data, 2, tmp_path)
    path.unlink()
    with pytest.raises(UsageError, match="can't read the partition manifest"):
        manifest(options)(data, 2, tmp_path)


def test_features_are_computed_once_and_memory_mapped(tmp_path):
    cache, calls = FeatureCache(tmp_path), []

    def compute():
        calls.append(1)
        return [np.arange(8, dtype=np.float64).reshape(2, 4), np.arange(8, 12).reshape(1, 4)]

    first, second = cache.get("enc", "img", compute), cache.get("enc", "img", compute)
    assert calls == [1] and first.dtype == np.float32 and np.array_equal(first, second)
    assert isinstance(second, np.memmap)
    second[0] = 7
    assert cache.get("enc", "img", compute)[0, 0] == 0, "what a user of the array does stays with it"
    cache.get("enc", "other", compute)
    assert len(calls) == 2 and cache.size()[0] == 2


@pytest.mark.parametrize("damage", [lambda content: content[:-8], lambda content: content[:-1] + b"x"])
def test_a_damaged_cache_says_what_to_delete(tmp_path, damage):
    cache = FeatureCache(tmp_path)
    cache.get("enc", "img", lambda: [np.ones((3, 4))])
    (path,) = tmp_path.glob("*.npy")
    path.write_bytes(damage(path.read_bytes()))
    with pytest.raises(UsageError, match=f"delete {path}"):
        cache.get("enc", "img", lambda: [np.ones((3, 4))])
    path.unlink()
    assert cache.get("enc", "img", lambda: [np.ones((3, 4))]).sum() == 12


def test_an_entry_without_its_note_was_never_finished(tmp_path):
    cache = FeatureCache(tmp_path)
    cache.get("enc", "img", lambda: [np.ones((3, 4))])
    (note,) = tmp_path.glob("*.json")
    note.unlink()
    for name in (note.stem, "another"):
        (tmp_path / f".{name}.npy.x.part").write_bytes(b"what a killed writer left")
    assert cache.get("enc", "img", lambda: np.full((3, 4), 2.0)).sum() == 24
    assert [path.name for path in tmp_path.glob(".*.part")] == [".another.npy.x.part"], "others are at work"


def test_an_unreadable_image_is_not_blamed_on_the_cache(tmp_path):
    def fail():
        raise OSError("cannot identify image file")

    with pytest.raises(OSError, match="cannot identify"):
        FeatureCache(tmp_path).get("enc", "img", fail)


def test_a_failed_computation_leaves_nothing(tmp_path):
    def fail():
        raise RuntimeError("no")

    with pytest.raises(RuntimeError):
        FeatureCache(tmp_path).get("enc", "img", fail)
    assert FeatureCache(tmp_path).size() == (0, 0)
    assert not list(tmp_path.glob(".*npy*"))


def _count(folder: str, log: str) -> None:
    def compute() -> list[np.ndarray]:
        with Path(log).open("a") as file:
            file.write("x")
        return [np.ones((200, 200))]

    FeatureCache(Path(folder)).get("enc", "img", compute)


@pytest.mark.slow
def test_processes_share_one_computation(tmp_path):
    log = tmp_path / "log"
    context = multiprocessing.get_context("spawn")
    workers = [context.Process(target=_count, args=(str(tmp_path / "cache"), str(log))) for _ in range(3)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join(60)
        assert worker.exitcode == 0
    assert log.read_text() == "x"


def test_a_cache_that_cannot_be_written_is_one_line(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(UsageError, match="can't write the feature cache"):
        FeatureCache(tmp_path / "file" / "below").get("enc", "img", lambda: [np.ones((1, 1))])


def test_parts_are_kept_and_a_whole_entry_needs_no_folder_that_can_be_written(tmp_path, monkeypatch):
    cache = FeatureCache(tmp_path)
    cache.keep("enc", "img", 0, np.ones((2, 3), dtype=np.float32))
    (part,) = cache.kept("enc", "img")
    assert part.shape == (2, 3) and not cache.kept("enc", "other")
    assert cache.get("enc", "img", lambda: [*cache.kept("enc", "img"), part]).shape == (4, 3)
    assert not cache.kept("enc", "img"), "parts of a whole are of no use"
    monkeypatch.setattr(Path, "mkdir", lambda *a, **k: pytest.fail("nothing is written"))
    cache.check("enc", "img")
    assert cache.get("enc", "img", lambda: pytest.fail("it is there")).sum() == 12


def test_waiting_for_another_process_is_said_once(tmp_path, monkeypatch):
    monkeypatch.setattr("fedbench.files.PATIENCE", 0.05)
    cache, said = FeatureCache(tmp_path), []
    lock = FileLock(cache.path("enc", "img").with_suffix(".lock"))

    def waiting(line):
        said.append(line)
        lock.release()

    lock.acquire()
    cache.get("enc", "img", lambda: np.ones((1, 1)), waiting)
    (line,) = said
    assert line == f"waiting for another process that encodes the images ({lock.lock_file})"


def test_a_cache_without_room_is_refused_before_anything_is_computed(tmp_path):
    with pytest.raises(UsageError, match=r"the images' features don't fit the feature cache .* are free"):
        FeatureCache(tmp_path).check_space(10**18)


def test_a_user_without_a_home_is_told_what_to_set(monkeypatch):
    def nowhere(name):
        raise RuntimeError("could not determine the home directory")

    monkeypatch.delenv("FEDBENCH_CACHE", raising=False)
    monkeypatch.setattr("fedbench.data.features.user_cache_path", nowhere)
    with pytest.raises(UsageError, match="no folder for caches: this user has no home — set FEDBENCH_CACHE"):
        cache_folder()


class Broken(list):
    """Images of which one can't be opened."""

    def __getitem__(self, number):
        if number == 3:
            raise OSError("image file is truncated")
        return super().__getitem__(number)


def test_an_image_that_can_not_be_read_is_named_with_whose_it_is():
    images = Broken(Image.new("RGB", (2, 2)) for _ in range(5))
    with pytest.raises(
        FedbenchError, match="data 'x' of plugin y can't read image 3: OSError: image file is"
    ):
        image_digests(images, "data 'x' of plugin y")
    pair, item = Pair(0, "", "a"), Item(1, "", "a", "g")
    same = AlignmentData(
        "x", "0", images[:2], np.arange(2), (pair,), {"t/n": Suite("t", "n", "caption", (item,))}
    )
    with pytest.raises(
        UsageError, match="1 of the 1 images that are asked about are images that clients learn"
    ):
        check_held_out(same, image_digests(same.images), "data 'x'")


def test_images_are_opened_a_few_at_a_time(monkeypatch):
    """By pixels, so that photos of a camera take no more memory than icons."""
    monkeypatch.setattr("fedbench.runs.loading.ENCODE_PIXELS", 100)
    images = [Image.new("RGB", (10, 8)) for _ in range(5)]
    data, owner = SimpleNamespace(images=images), SimpleNamespace(owner="data 'x'")
    assert [len(batch) for batch in batches(data, owner, 0)] == [2, 2, 1]
    assert [len(batch) for batch in batches(data, owner, 2)] == [2, 1]


def test_a_model_that_is_no_longer_made_of_numbers_ends_its_run():
    evaluator = RunEvaluator(spec=None, evaluator=None, seed=0, clients=3)
    models = torch.zeros(3, 1000)
    models[1, :12] = float("nan")
    with pytest.raises(
        Diverged, match="after round 4 12 of 1,000 parameters of the model of client 1 are NaN"
    ):
        evaluator.measured(RoundEntry(round=4, digest="0" * 64), models)
    with pytest.raises(Diverged, match="12 of 1,000 parameters of the model are NaN or infinite"):
        evaluator.measured(RoundEntry(round=4, digest="0" * 64), models[1:2])
