"""Captioned images as alignment data: Fed-CMP's CC12M (arXiv 2603.26786), a client for each cluster."""

from __future__ import annotations

import random
from collections import defaultdict
from collections.abc import Iterator, Sequence

import numpy as np

from fedbench import AlignmentData, Item, Pair, Suite, UsageError, derive, sha256_json
from fedbench_papers.options import CC12M
from fedbench_papers.splits import TRAIN, deal
from fedbench_papers.tables import Column, Pictures, read


def cc12m(options: CC12M) -> AlignmentData:
    """Make the data, with two suites of split ``test``.

    ``test/caption`` is a caption's likelihood, ``test/match`` a choice among captions of one cluster.
    """
    rows = read(options, (options.image_column, options.caption_column, options.cluster_column))
    column = Column.of(options.name, rows, options.image_column)
    captions = [str(caption or "").strip() for caption in rows[options.caption_column]]
    clusters = [str(cluster) for cluster in rows[options.cluster_column]]
    if "" in captions:
        raise UsageError(
            f"row {captions.index('')} of data {options.name!r} has an empty caption",
            where=options.path,
            why="there is nothing to learn from it",
            fix="take the row out",
        )
    hashes = [column.sha256(row) for row in range(len(captions))]
    images: dict[str, list[str]] = defaultdict(list)
    for cluster, image in zip(clusters, hashes, strict=True):
        images[cluster].append(image)
    split = deal(options, images, sorted(images), (), {"test": options.test})
    first = {hashes[row]: row for row in reversed(range(len(hashes)))}
    kept = sorted(row for image, row in first.items() if image in split)
    place = {row: i for i, row in enumerate(kept)}
    learned = [row for row in kept if split[hashes[row]] == TRAIN]
    asked = [row for row in kept if split[hashes[row]] != TRAIN]
    items = [Item(place[row], options.prompt, captions[row], hashes[row][:16]) for row in asked]
    suites = [
        Suite("test", "caption", "caption", tuple(items)),
        Suite("test", "match", "choice", tuple(_matches(options, items, [clusters[row] for row in asked]))),
    ]
    return AlignmentData(
        name=options.name,
        image_fingerprint=sha256_json([hashes[row] for row in kept]),
        images=Pictures(column, kept),
        units=np.arange(len(kept)),
        pairs=tuple(Pair(place[row], options.prompt, captions[row]) for row in learned),
        suites={suite.key: suite for suite in suites},
        labels={"cluster": [clusters[row] for row in kept]},
    )


def _matches(options: CC12M, items: Sequence[Item], clusters: Sequence[str]) -> Iterator[Item]:
    """Each caption among others of its cluster, as many as there are up to ``options.choices``."""
    members: dict[str, set[str]] = defaultdict(set)
    for item, cluster in zip(items, clusters, strict=True):
        members[cluster].add(item.answer)
    for item, cluster in zip(items, clusters, strict=True):
        others = sorted(members[cluster] - {item.answer})
        rng = random.Random(derive(options.seed, "match", item.group))
        drawn = rng.sample(others, min(len(others), options.choices - 1))
        if drawn:
            choices = tuple(sorted((item.answer, *drawn)))
            yield Item(item.image, item.prompt, item.answer, item.group, choices)
