"""Partitions and the feature cache: what is refused, what is shared, what survives damage."""

import json
import multiprocessing
from pathlib import Path

import numpy as np
import pytest

from fedbench.data import AlignmentData, Item, Pair, Partition, Suite
from fedbench.data.features import FeatureCache
from fedbench.data.partition import IidOptions, ManifestOptions, checked, iid, manifest
from fedbench.errors import UsageError
from fedbench.fingerprint import sha256_file


@pytest.fixture
def data():
    """Six training units with two views each, four held-out units."""
    units = np.array([0, 0, 1, 1, 2, 2, 3, 3, 4, 4, 5, 5, 6, 7, 8, 9])
    pairs = tuple(Pair(image, "what?", f"answer {image}") for image in range(12))
    items = tuple(Item(image, "what?", "x", str(image)) for image in range(12, 16))
    suites = {"unseen/caption": Suite("unseen", "caption", "caption", items)}
    return AlignmentData("toy", "f", "i", [None] * 16, units, pairs, suites)


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
    dealt = [iid(IidOptions(seed=seed))(data, 3, Path()) for seed in (0, 0, 1)]
    assert dealt[0].fingerprint == dealt[1].fingerprint != dealt[2].fingerprint
    assert sorted(np.concatenate(dealt[0].train)) == list(range(6))
    assert sorted(np.concatenate(dealt[0].evaluation)) == [6, 7, 8, 9]
    checked(dealt[0], data, 3, "iid")


def test_a_manifest_must_be_the_one_that_was_shipped(data, tmp_path):
    path = tmp_path / "clients.json"
    path.write_text(json.dumps({"train": [[0, 1], [2]], "evaluation": [[6], [7]]}))
    options = ManifestOptions(file="clients.json", sha256=sha256_file(path))
    assert manifest(options)(data, 2, tmp_path).train[0].tolist() == [0, 1]
    path.write_text(path.read_text().replace("2", "3"))
    with pytest.raises(UsageError, match="not the one the scenario was made with"):
        manifest(options)(data, 2, tmp_path)
    path.unlink()
    with pytest.raises(UsageError, match="can't read the partition manifest"):
        manifest(options)(data, 2, tmp_path)


def test_features_are_computed_once_and_memory_mapped(tmp_path):
    cache, calls = FeatureCache(tmp_path), []

    def compute():
        calls.append(1)
        return np.arange(12, dtype=np.float64).reshape(3, 4)

    first, second = cache.get("enc", "img", compute), cache.get("enc", "img", compute)
    assert calls == [1] and first.dtype == np.float32 and np.array_equal(first, second)
    assert isinstance(second, np.memmap) and not second.flags.writeable
    cache.get("enc", "other", compute)
    assert len(calls) == 2 and cache.size()[0] == 2


@pytest.mark.parametrize("damage", [lambda content: content[:-8], lambda content: content[:-1] + b"x"])
def test_a_damaged_cache_says_what_to_delete(tmp_path, damage):
    cache = FeatureCache(tmp_path)
    cache.get("enc", "img", lambda: np.ones((3, 4)))
    (path,) = tmp_path.glob("*.npy")
    path.write_bytes(damage(path.read_bytes()))
    with pytest.raises(UsageError, match=f"delete {path}"):
        cache.get("enc", "img", lambda: np.ones((3, 4)))
    path.unlink()
    assert cache.get("enc", "img", lambda: np.ones((3, 4))).sum() == 12


def test_a_failed_computation_leaves_nothing(tmp_path):
    def fail():
        raise RuntimeError("no")

    with pytest.raises(RuntimeError):
        FeatureCache(tmp_path).get("enc", "img", fail)
    assert FeatureCache(tmp_path).size() == (0, 0)
    assert not list(tmp_path.glob(".*npy*"))


def _count(folder: str, log: str) -> None:
    def compute() -> np.ndarray:
        with Path(log).open("a") as file:
            file.write("x")
        return np.ones((200, 200))

    FeatureCache(Path(folder)).get("enc", "img", compute)


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
        FeatureCache(tmp_path / "file" / "below").get("enc", "img", lambda: np.ones((1, 1)))
