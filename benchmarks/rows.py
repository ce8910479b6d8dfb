"""Memory of a data set as its rows grow: ``python benchmarks/rows.py``. Each point is a process of its own.

A row is a question about one of a thousand small images, with an answer of its own; a tenth as many items
are asked. What a run does before it trains is done in order; the peak memory is noted after each step.
"""

import argparse
import json
import resource
import shlex
import subprocess
import sys
from io import BytesIO
from pathlib import Path
from time import perf_counter

import numpy as np
from result_file import RESULTS, row, write
from scaling import exponent

POINTS = (1_000, 10_000, 100_000, 1_000_000)
IMAGES, ASKED = 1_000, 100


def peak():
    """The most memory that this process has had, in MB."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def made(rows):
    """Data of so many rows about the same images."""
    from PIL import Image

    from fedbench import AlignmentData, Item, Pair, StoredImages, Suite

    class Squares(StoredImages):
        def __len__(self):
            return IMAGES + ASKED

        def stored(self, number):
            colour = (number % 256, number // 256, 0)
            Image.new("RGB", (8, 8), colour).save(file := BytesIO(), "png")
            return file.getvalue()

    items = tuple(
        Item(IMAGES + n % ASKED, "what is it?", f"number {n} of all", f"{n % ASKED}")
        for n in range(rows // 10)
    )
    suite = Suite("test", "caption", "caption", items)
    return AlignmentData(
        name="rows",
        image_fingerprint="0" * 64,
        images=Squares(),
        units=np.arange(IMAGES + ASKED),
        pairs=tuple(Pair(n % IMAGES, "what is it?", f"the answer of row {n}") for n in range(rows)),
        suites={suite.key: suite},
        labels={"kind": [f"kind {n % 7}" for n in range(IMAGES + ASKED)]},
    )


def steps(rows):
    """Peak memory and seconds after each step of what a run does before it trains."""
    from fedbench.catalog import Catalog
    from fedbench.data.content import check_held_out, data_sha256, image_digests, images_sha256
    from fedbench.data.lengths import check_lengths
    from fedbench.data.partition import checked
    from fedbench.data.partitioners import SeededOptions, iid
    from fedbench.data.problems import data_problems
    from fedbench.data.tokens import TokenTable
    from fedbench.models.language import LanguageModel
    from fedbench.plugins import Plugins

    catalog = Catalog(Plugins())
    nano = catalog.backbones["nano"]
    llm = LanguageModel(nano.create(nano.options()))
    TokenTable.build(made(10).pairs, llm)
    noted, begun = {"libraries and backbone": (peak(), 0.0)}, perf_counter()

    def note(step):
        noted[step] = (peak(), perf_counter() - begun)

    data = made(rows)
    note("rows")
    assert not list(data_problems(data, catalog.forms))
    check_lengths(data, llm, "the data")
    note("checks")
    digests = image_digests(data.images)
    check_held_out(data, digests, "the data")
    assert data.fingerprint and data_sha256(data, images_sha256(data.images, digests))
    note("fingerprints")
    checked(iid(SeededOptions())(data, 100, Path()), data, 100, "iid").shards(data)
    note("clients")
    TokenTable.build(data.pairs, llm)
    note("tokens")
    return noted


def result(found):
    """Rows of a result file of what :func:`steps` found, by the number of rows."""
    rows = []
    for step in next(iter(found.values())):
        values = [noted[step][0] for noted in found.values()]
        for (at, noted), memory in zip(found.items(), values, strict=True):
            seconds = round(noted[step][1], 1)
            rows.append(row(step, f"{at:,} rows", [memory], "MB", at=at, seconds_until_then=seconds))
            rows[-1]["exponent"] = exponent(list(found), values)
    return rows


def main():
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--points", nargs="*", type=int, default=POINTS)
    parser.add_argument("--out", type=Path, default=RESULTS / "rows.json")
    parser.add_argument("--one", type=int, help=argparse.SUPPRESS)
    asked = parser.parse_args()
    if asked.one:
        print(json.dumps(steps(asked.one)))
        return
    found = {}
    for at in asked.points:
        command = [sys.executable, __file__, "--one", str(at)]
        done = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True)
        found[at] = json.loads(done.stdout)
        print(
            f"{at:,}: " + ", ".join(f"{step} {noted[0]:,.0f} MB" for step, noted in found[at].items()),
            flush=True,
        )
    what = "Memory as a data set's rows grow. The peak after each step of what a run does before it trains."
    write(asked.out, what, shlex.join(["python", "benchmarks/rows.py", *sys.argv[1:]]), result(found))


if __name__ == "__main__":
    main()
