"""Memory of encoding photos: ``python benchmarks/image_memory.py``. Each way is a process of its own.

Photos of 12 megapixels are encoded with the nano backbone: whole batches of 256 at full size, batches that
are closed by pixels at full size, and shrunk one by one as they are opened, which is what a run does.
"""

import argparse
import json
import resource
import shlex
import subprocess
import sys
from io import BytesIO
from pathlib import Path
from types import SimpleNamespace

import numpy as np
from result_file import RESULTS, row, write

WAYS = {
    "batches of 256 at full size": {"pixels": 2**62, "shrink": False},
    "batches by pixels at full size": {"pixels": 2**26, "shrink": False},
    "shrunk one by one": {"pixels": 2**26, "shrink": True},
}
SIZE = (4000, 3000)


def photo():
    """A JPEG of 12 megapixels with something on it, some 5 MB."""
    from PIL import Image

    small = np.random.default_rng(0).integers(0, 256, (300, 400, 3), dtype=np.uint8)
    file = BytesIO()
    Image.fromarray(small).resize(SIZE, Image.Resampling.BICUBIC).save(file, "jpeg", quality=90)
    return file.getvalue()


def peak():
    """The most memory that this process has had, in bytes."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


def encode(photos, pixels, shrink):
    """Encode so many photos as a run does; the bytes that it took beyond the backbone."""
    from fedbench import StoredImages
    from fedbench.catalog import Catalog
    from fedbench.models.backbone import unchanged
    from fedbench.plugins import Plugins
    from fedbench.runs import loading

    stored = photo()

    class Photos(StoredImages):
        def __len__(self):
            return photos

        def stored(self, number):
            return stored

    loading.ENCODE_PIXELS = pixels
    nano = Catalog(Plugins()).backbones["nano"]
    backbone = nano.create(nano.options())
    from PIL import Image

    backbone.encode([Image.new("RGB", (64, 64))])
    before = peak()
    data, owner = SimpleNamespace(images=Photos()), SimpleNamespace(owner="the photos")
    batches = loading.batches(data, owner, 0, backbone.shrink if shrink else unchanged)
    features = np.concatenate([backbone.encode(batch).numpy() for batch in batches])
    return {"bytes": peak() - before, "sum": float(features.astype(np.float64).sum())}


def main():
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--photos", type=int, default=260)
    parser.add_argument("--ways", nargs="*", default=list(WAYS), choices=list(WAYS))
    parser.add_argument("--out", type=Path, default=RESULTS / "image-memory.json")
    parser.add_argument("--one", help=argparse.SUPPRESS)
    asked = parser.parse_args()
    if asked.one:
        print(json.dumps(encode(asked.photos, **WAYS[asked.one])))
        return
    rows = []
    for way in asked.ways:
        command = [sys.executable, __file__, "--photos", str(asked.photos), "--one", way]
        found = json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout)
        rows.append(
            row(
                "encoding photos of 12 MP",
                way,
                [found["bytes"] / 1e6],
                "MB",
                photos=asked.photos,
                sum=found["sum"],
            )
        )
        print(f"{way}: {found['bytes'] / 1e6:,.0f} MB beyond the backbone, features sum to {found['sum']!r}")
    size = "{} × {}".format(*SIZE)
    what = f"Memory of encoding photos. The peak of {asked.photos} of {size}, beyond the nano backbone's."
    write(asked.out, what, shlex.join(["python", "benchmarks/image_memory.py", *sys.argv[1:]]), rows)


if __name__ == "__main__":
    main()
