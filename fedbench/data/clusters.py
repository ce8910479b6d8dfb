"""The ``cluster`` partitioner: clients are clusters of embeddings (Fed-CMP, arXiv 2603.26786, §4)."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

import numpy as np
from pydantic import Field
from safetensors import SafetensorError
from safetensors.numpy import load_file

from fedbench.data.items import FederatedData
from fedbench.data.partition import Partition, Partitioner
from fedbench.data.partitioners import SeededOptions, enough, held_out_units, train_units
from fedbench.errors import UsageError
from fedbench.fingerprint import sha256_file
from fedbench.rng import numpy_stream

RESTARTS, STEPS = 20, 100
BETTER = 1e-9
"""Least improvement per point that replaces an earlier restart: those that reach the same optimum differ by
rounding only, and the first of them is kept on every machine."""


class ClusterOptions(SeededOptions):
    """Options of the ``cluster`` partitioner."""

    file: str = Field(
        description='safetensors beside the scenario: "image" and "text", unit vectors [units, D]'
    )
    sha256: str = Field(description="sha256 of that file")
    similarity: Literal["image", "text", "joint", "cross"] = Field(
        "image",
        description="similarity of units: image·image, text·text, their sum, or image·(centre of texts)",
    )
    cap: int | None = Field(None, ge=1, description="most training units a client keeps: the nearest ones")


def cluster(options: ClusterOptions) -> Partitioner:
    """Spherical k-means over the training units; every held-out unit goes to the nearest centre."""

    def deal(data: FederatedData, clients: int, folder: Path) -> Partition:
        image, text = _embeddings(folder / options.file, options.sha256, int(data.units.max()) + 1)
        joint = np.concatenate([image, text], axis=1)
        grouped, assigned = {
            "image": (image, image),
            "text": (text, text),
            "joint": (joint, joint),
            "cross": (text, image),
        }[options.similarity]
        train = train_units(data)
        centres = spherical_kmeans(
            grouped[train], clients, numpy_stream(options.seed, "partition", "cluster")
        )
        closeness = assigned @ centres.T
        owner, nearness = closeness.argmax(1), closeness.max(1)
        kept = []
        for client in range(clients):
            mine = train[owner[train] == client]
            kept.append(np.sort(mine[np.argsort(-nearness[mine], kind="stable")[: options.cap]]))
        enough(kept, options.least, "cluster")
        held_out = held_out_units(data)
        return Partition(tuple(kept), tuple(held_out[owner[held_out] == k] for k in range(clients)))

    return deal


def spherical_kmeans(points: np.ndarray, k: int, rng: np.random.Generator) -> np.ndarray:
    """Find k unit vectors [k, D] that maximise the points' summed cosine to the nearest one.

    ``points`` [N, D] are unit vectors. The centres come in the order of their clusters' sizes, largest first;
    of :data:`RESTARTS` random starts the best counts.
    """
    best, best_score = points[:k], -np.inf
    for _ in range(RESTARTS):
        centres = points[rng.choice(len(points), k, replace=False)]
        for _ in range(STEPS):
            owner = (points @ centres.T).argmax(1)
            sums = np.stack([points[owner == c].sum(0) for c in range(k)])
            moved = sums / np.linalg.norm(sums, axis=1, keepdims=True).clip(1e-12)
            if np.allclose(moved, centres):
                break
            centres = moved
        score = (points @ centres.T).max(1).sum()
        if score > best_score + BETTER * len(points):
            best, best_score = centres, score
    sizes = np.bincount((points @ best.T).argmax(1), minlength=k)
    return best[np.argsort(-sizes, kind="stable")]


def _embeddings(path: Path, expected: str, units: int) -> tuple[np.ndarray, np.ndarray]:
    try:
        actual, tensors = sha256_file(path), load_file(path)
        pair = [tensors[side].astype(np.float64) for side in ("image", "text")]
    except (OSError, KeyError, SafetensorError) as error:
        raise UsageError("can't read the embeddings", where=path, why=error) from error
    if actual != expected:
        raise UsageError(
            "the embeddings are not those the scenario was made with",
            where=path,
            why=f"its sha256 is {actual[:12]}…, expected {expected[:12]}…",
            fix="reinstall the scenario package",
        )
    if any(side.ndim != 2 or len(side) < units for side in pair):
        raise UsageError(
            "the embeddings do not fit the data", where=path, why=f"{units} units need a row each"
        )
    image, text = (side / np.linalg.norm(side, axis=1, keepdims=True).clip(1e-12) for side in pair)
    return image, text
