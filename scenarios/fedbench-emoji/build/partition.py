"""Deal the training drawings to five clients: spherical k-means on the frozen encoder's features.

``python build/partition.py`` writes ``fedbench_emoji/scenarios/emoji-ii.clients.json``. Image–image
similarity (MI-I) of Fed-CMP, arXiv 2603.26786, §4; held-out drawings go to the nearest cluster.
"""

from __future__ import annotations

import io
import json
from pathlib import Path

import click
import numpy as np
import torch
from fedbench_emoji.assets import FOLDER
from fedbench_emoji.dataset import TRAIN_ARTISTS, read_drawings
from fedbench_emoji.trunk import Lite0Trunk, preprocess
from PIL import Image
from sklearn.decomposition import PCA

from fedbench.fingerprint import sha256_file

OUT = Path(__file__).parent.parent / "fedbench_emoji" / "scenarios" / "emoji-ii.clients.json"


@click.command()
@click.option("--clients", default=5)
@click.option("--cap", default=560, help="most training drawings a client keeps: the nearest ones")
@click.option("--seed", default=0)
def main(clients: int, cap: int, seed: int) -> None:
    drawings, encoded = read_drawings()
    trunk = Lite0Trunk.from_safetensors(FOLDER / "nano" / "vision.safetensors")
    images = [Image.open(io.BytesIO(data)).convert("RGB") for data in encoded]
    pooled = torch.cat([trunk(preprocess(images[i : i + 256])).mean(1) for i in range(0, len(images), 256)])
    train = np.array([d.row for d in drawings if d.split == "train" and d.artist in TRAIN_ARTISTS])
    held_out = np.setdiff1d(np.arange(len(drawings)), train)
    pca = PCA(32, whiten=True, random_state=seed).fit(pooled.numpy()[train])
    points = pca.transform(pooled.numpy())
    points /= np.linalg.norm(points, axis=1, keepdims=True)
    centres = spherical_kmeans(points[train], clients, np.random.default_rng(seed))
    owner, closeness = (points @ centres.T).argmax(1), (points @ centres.T).max(1)
    kept = []
    for client in range(clients):
        mine = train[owner[train] == client]
        kept.append(np.sort(mine[np.argsort(-closeness[mine], kind="stable")[:cap]]))
    manifest = {
        "about": "rows of emoji.parquet per client; clusters of image embeddings (MI-I)",
        "seed": seed,
        "cap": cap,
        "train": [rows.tolist() for rows in kept],
        "evaluation": [held_out[owner[held_out] == client].tolist() for client in range(clients)],
    }
    OUT.write_text(json.dumps(manifest, separators=(",", ":")) + "\n")
    click.echo(f"{OUT.name} sha256 {sha256_file(OUT)}")
    for client, rows in enumerate(kept):
        found = [drawings[row].concept.category for row in rows]
        top = sorted({c: found.count(c) for c in set(found)}.items(), key=lambda pair: -pair[1])[:3]
        click.echo(f"client {client}: {len(rows)} of {(owner[train] == client).sum()} drawings, {top}")


def spherical_kmeans(points: np.ndarray, k: int, rng: np.random.Generator, restarts: int = 20) -> np.ndarray:
    """Unit centres [k, d] that maximise the summed cosine to the nearest one; the best restart."""
    best, best_score = points[:k], -np.inf
    for _ in range(restarts):
        centres = points[rng.choice(len(points), k, replace=False)]
        for _ in range(100):
            owner = (points @ centres.T).argmax(1)
            sums = np.stack([points[owner == c].sum(0) for c in range(k)])
            moved = sums / np.linalg.norm(sums, axis=1, keepdims=True).clip(1e-12)
            if np.allclose(moved, centres):
                break
            centres = moved
        score = (points @ centres.T).max(1).sum()
        if score > best_score:
            best, best_score = centres, score
    return best


if __name__ == "__main__":
    main()
