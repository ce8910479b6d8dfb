"""The ``cluster`` partitioner: the clusters that are there, whatever they are made of."""

from dataclasses import replace

import numpy as np
import pytest
from safetensors.numpy import save_file

from fedbench.data import AlignmentData, Item, Pair, Suite
from fedbench.data.clusters import ClusterOptions, cluster, spherical_kmeans
from fedbench.data.partition import checked
from fedbench.errors import UsageError
from fedbench.fingerprint import sha256_file
from fedbench.rng import numpy_stream

UNITS, HELD_OUT = 120, 30


@pytest.fixture
def data():
    total = UNITS + HELD_OUT
    pairs = tuple(Pair(unit, "what?", str(unit)) for unit in range(UNITS))
    items = tuple(Item(unit, "what?", "x", str(unit)) for unit in range(UNITS, total))
    suites = {"unseen/caption": Suite("unseen", "caption", "caption", items)}
    return AlignmentData("toy", "i", [None] * total, np.arange(total), pairs, suites)


@pytest.fixture
def deal(tmp_path, data):
    """``deal(clients, **options)`` over units whose images form three clusters and whose texts form two."""
    rng = np.random.default_rng(0)
    total = UNITS + HELD_OUT
    image_of, text_of = np.arange(total) % 3, np.arange(total) // 7 % 2
    axes = np.eye(8)
    image = axes[image_of] + 0.1 * rng.standard_normal((total, 8))
    text = axes[text_of] + 0.1 * rng.standard_normal((total, 8))
    path = tmp_path / "embeddings.safetensors"
    save_file({"image": image.astype(np.float16), "text": text.astype(np.float16)}, path)

    def run(clients, **options):
        chosen = ClusterOptions(file=path.name, sha256=sha256_file(path), **options)
        return checked(cluster(chosen)(data, clients, tmp_path), data, clients, "cluster")

    run.image_of, run.text_of, run.path = image_of, text_of, path
    return run


def pure(parts, labels):
    return all(len({labels[unit] for unit in part}) == 1 for part in parts)


@pytest.mark.parametrize("clients", [2, 3, 7])
@pytest.mark.parametrize("similarity", ["image", "text", "joint", "cross"])
def test_a_seeded_disjoint_cover(deal, clients, similarity):
    partition = deal(clients, similarity=similarity)
    assert sorted(np.concatenate(partition.train)) == list(range(UNITS))
    assert sorted(np.concatenate(partition.evaluation)) == list(range(UNITS, UNITS + HELD_OUT))
    assert partition.fingerprint == deal(clients, similarity=similarity).fingerprint


def test_clusters_are_found_and_held_out_units_follow(deal):
    images, texts = deal(3, similarity="image"), deal(2, similarity="text")
    for side in ("train", "evaluation"):
        assert pure(getattr(images, side), deal.image_of) and pure(getattr(texts, side), deal.text_of)
        assert not pure(getattr(texts, side), deal.image_of)


def test_joint_clusters_agree_in_both(deal):
    partition = deal(6, similarity="joint")
    assert pure(partition.train, deal.image_of) and pure(partition.train, deal.text_of)


def test_cross_sends_images_to_centres_of_texts(deal):
    """Images of kinds 0 and 1 lie on the two text axes; kind 2 on neither."""
    partition = deal(2, similarity="cross")
    for kind in (0, 1):
        owners = {k for k, part in enumerate(partition.train) for u in part if deal.image_of[u] == kind}
        assert len(owners) == 1
    homes = [next(k for k, part in enumerate(partition.train) if unit in part) for unit in (0, 1)]
    assert homes[0] != homes[1]


def test_a_cap_keeps_the_nearest(deal):
    whole, capped = deal(3), deal(3, cap=25)
    assert [len(part) for part in capped.train] == [25] * 3
    for few, all_ in zip(capped.train, whole.train, strict=True):
        assert set(few) < set(all_)
    assert [list(p) for p in capped.evaluation] == [list(p) for p in whole.evaluation]


def test_clients_are_ordered_by_size():
    points = np.repeat(np.eye(3), [5, 20, 10], axis=0)
    centres = spherical_kmeans(points, 3, numpy_stream(0, "t"))
    np.testing.assert_allclose(centres, np.eye(3)[[1, 2, 0]], atol=1e-12)


def test_too_few_is_a_clear_error(deal):
    with pytest.raises(UsageError, match="fewer than least=50"):
        deal(3, least=50)


def test_other_embeddings_are_refused(deal, data, tmp_path):
    right = sha256_file(deal.path)
    with pytest.raises(UsageError, match=r"its sha256 is .*, expected"):
        cluster(ClusterOptions(file=deal.path.name, sha256="0" * 64))(data, 3, tmp_path)
    with pytest.raises(UsageError, match="can't read the embeddings"):
        cluster(ClusterOptions(file="none.safetensors", sha256=right))(data, 3, tmp_path)
    more = replace(data, units=np.arange(len(data.units)) + 5)
    with pytest.raises(UsageError, match="155 units need a row each"):
        cluster(ClusterOptions(file=deal.path.name, sha256=right))(more, 3, tmp_path)
    (tmp_path / "text.safetensors").write_text("no tensors")
    with pytest.raises(UsageError, match="can't read the embeddings"):
        cluster(ClusterOptions(file="text.safetensors", sha256=right))(data, 3, tmp_path)
