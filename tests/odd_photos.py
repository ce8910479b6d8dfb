"""A folder of photos of which some are broken, and its scenario: ``python tests/odd_photos.py FOLDER``."""

import csv
import sys
from pathlib import Path

import numpy as np
from odd_images import ODD, Refused, encoded
from PIL import Image

SIZES = [(64, 48), (48, 64), (128, 96), (320, 200), (800, 600)]
SCENARIO = """\
name = "photos"
version = 1
track = "alignment"
summary = "240 photos of three sites, and some that are broken"

[backbone]
name = "nano"

[data]
name = "image-text"
files.path = "."

[data.options]
image = "file_name"
answer = "text"
client = "site"
labels = ["kind"]

[partition]
name = "natural"
options.label = "client"

[federation]
clients = 3
rounds = 2

[training]
batch_size = 8
lr = 1e-3
hidden = 32

[evaluation]
primary = "test/caption/nll"
metrics = ["caption", "choice"]
each_round = ["test/caption"]
final = ["test/caption", "test/choice"]
controls = []
"""


def write(folder):
    """Write photos, ``metadata.csv`` and ``photos.toml``."""
    folder.mkdir(parents=True, exist_ok=True)
    rng, rows = np.random.default_rng(1), []
    for number in range(240):
        pixels = Image.fromarray(rng.integers(0, 256, (6, 8, 3), dtype=np.uint8))
        photo = pixels.resize(SIZES[rng.choice(5, p=[0.4, 0.2, 0.2, 0.15, 0.05])])
        (folder / f"{number:03d}.jpg").write_bytes(encoded(photo, "jpeg"))
        kind = rng.choice(["cat", "dog", "bird", "fish"], p=[0.5, 0.25, 0.15, 0.1])
        site = rng.choice(["north", "south", "west"], p=[0.5, 0.3, 0.2])
        rows.append([f"{number:03d}.jpg", f"a {kind} number {number}", kind, site])
    for number, case in enumerate(ODD.values()):
        if isinstance(case, Refused):
            (folder / f"odd-{number}.jpg").write_bytes(case.stored)
            rows.append([f"odd-{number}.jpg", "a cat", "cat", "north"])
    rows.append(["nothing.jpg", "a cat", "cat", "south"])
    rows[5][1], rows[17][1], rows[40][1] = "a cat and " * 100, "", " "
    with (folder / "metadata.csv").open("w", newline="") as file:
        csv.writer(file).writerows([["file_name", "text", "kind", "site"], *rows])
    (folder / "photos.toml").write_text(SCENARIO)


if __name__ == "__main__":
    write(Path(sys.argv[1]))
