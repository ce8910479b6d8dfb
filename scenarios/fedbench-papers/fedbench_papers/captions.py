"""Captioned images as alignment data: Fed-CMP's CC12M (arXiv 2603.26786), a client for each cluster."""

from __future__ import annotations

import random
import unicodedata
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import numpy as np
from fedbench_huggingface.images import Pictures

from fedbench import AlignmentData, Item, Pair, Suite, UsageError, derive, sha256_json
from fedbench_papers.options import CC12M
from fedbench_papers.splits import TRAIN, deal
from fedbench_papers.tables import images as images_of
from fedbench_papers.tables import read


def cc12m(options: CC12M) -> AlignmentData:
    """Make the data, with two suites of split ``test``.

    ``test/caption`` is a caption's likelihood, ``test/match`` a choice among captions of one cluster.
    """
    table, notes = read(options, (options.image_column, options.caption_column, options.cluster_column))
    rows, column = table.rows, images_of(options, table, options.image_column)
    clusters = _clusters(options, rows[options.cluster_column])
    captions = _captions(options, rows[options.caption_column])
    hashes = [column.sha256(row) for row in range(len(clusters))]
    images: dict[str, list[str]] = defaultdict(list)
    for cluster, image in zip(clusters, hashes, strict=True):
        images[cluster].append(image)
    split = deal(options, images, sorted(images), (), {"test": options.test})
    if again := len(hashes) - len(set(hashes)):
        notes.append(f"{again} of {len(hashes)} rows repeat an image; all its captions are in one split")
    # A unit is an image in a cluster, so that a cluster can be a client.
    place: dict[tuple[str, str], int] = {}
    shown: list[int] = []
    for row, unit in enumerate(zip(hashes, clusters, strict=True)):
        if unit[0] in split and unit not in place:
            place[unit] = len(place)
            shown.append(row)
    known = [(row, caption) for row, caption in captions if hashes[row] in split]
    learned = [entry for entry in known if split[hashes[entry[0]]] == TRAIN]
    asked = [entry for entry in known if split[hashes[entry[0]]] != TRAIN]
    at = [place.get(unit, -1) for unit in zip(hashes, clusters, strict=True)]
    items = [Item(at[row], options.prompt, caption, hashes[row][:16]) for row, caption in asked]
    suites = [
        Suite("test", "caption", "caption", tuple(items)),
        Suite(
            "test", "match", "choice", tuple(_matches(options, items, [clusters[row] for row, _ in asked]))
        ),
    ]
    return AlignmentData(
        name=options.name,
        image_fingerprint=sha256_json([hashes[row] for row in shown]),
        images=Pictures(column, shown),
        units=np.arange(len(shown)),
        pairs=tuple(Pair(at[row], options.prompt, caption) for row, caption in learned),
        suites={suite.key: suite for suite in suites},
        labels={"cluster": [clusters[row] for row in shown]},
        notes=notes,
    )


def _captions(options: CC12M, cells: Iterable[Any]) -> list[tuple[int, str]]:
    """List each row's captions, one or a list of them, with the row's number; refuses what is no text."""
    captions: list[tuple[int, str]] = []
    for row, cell in enumerate(cells):
        texts = cell if isinstance(cell, list) else [cell]
        for text in texts or [None]:
            if text is not None and not isinstance(text, str):
                raise _bad_row(
                    options, row, f"has a caption of type {type(text).__name__}", f"it is {text!r:.40}"
                )
            if not (text or "").strip():
                raise _bad_row(options, row, "has an empty caption", "there is nothing to learn from it")
            captions.append((row, text.strip()))
    return captions


def _clusters(options: CC12M, cells: Iterable[Any]) -> list[str]:
    """List each row's cluster as a text; refuses rows without one."""
    clusters = list(cells)
    lacking = [
        row for row, cell in enumerate(clusters) if cell is None or cell != cell or not str(cell).strip()
    ]
    if lacking:
        why = f"{len(lacking)} of {len(clusters)} rows have none in column {options.cluster_column!r}"
        raise _bad_row(options, lacking[0], "has no cluster", why)
    return [unicodedata.normalize("NFC", str(cluster)) for cluster in clusters]


def _bad_row(options: CC12M, row: int, what: str, why: str) -> UsageError:
    return UsageError(
        f"row {row} of data {options.name!r} {what}", where=options.path, why=why, fix="take the row out"
    )


def _matches(options: CC12M, items: Sequence[Item], clusters: Sequence[str]) -> Iterator[Item]:
    """Each caption among other images' of its cluster, as many as there are up to ``options.choices``."""
    members: dict[str, set[str]] = defaultdict(set)
    own: dict[str, set[str]] = defaultdict(set)
    for item, cluster in zip(items, clusters, strict=True):
        members[cluster].add(item.answer)
        own[item.group].add(item.answer)
    for item, cluster in zip(items, clusters, strict=True):
        others = sorted(members[cluster] - own[item.group])
        rng = random.Random(derive(options.seed, "match", item.group))
        drawn = rng.sample(others, min(len(others), options.choices - 1))
        if drawn:
            choices = tuple(sorted((item.answer, *drawn)))
            yield Item(item.image, item.prompt, item.answer, item.group, choices)
