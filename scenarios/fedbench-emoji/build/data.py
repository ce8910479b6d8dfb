"""Build ``emoji.parquet``: one row per drawing of a concept by an artist.

    python build/data.py --downloads DIR --out DIR

Deterministic: the same archives and library versions give the same bytes.
"""

from __future__ import annotations

import hashlib
import io
import json
import random
import re
import sys
import tomllib
from collections import Counter, defaultdict
from collections.abc import Hashable, Iterable
from dataclasses import dataclass, field
from pathlib import Path

import click
from datasets import Dataset, Features, Image, List, Value
from PIL import Image as Pil
from tqdm import tqdm

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from fedbench_emoji.texts import clean
from sources import archive, read_tar

HERE = Path(__file__).resolve().parent
SIDE = 64
QUALITY = 85
SEED = 20261122
SHARES = {"unseen": 0.17, "validation": 0.08}
FOLDERS = {"noto": "img/google/64/", "twemoji": "img/twitter/64/", "fluent": "assets/"}
FEATURES = Features(
    {
        "image": Image(),
        "concept": Value("string"),
        "artist": Value("string"),
        "name": Value("string"),
        "keywords": List(Value("string")),
        "category": Value("string"),
        "kind": Value("string"),
        "split": Value("string"),
        "sha256": Value("string"),
    }
)
GENDERED = re.compile(r"\b(woman|man|person|women|men|people)\b")


@dataclass
class Entry:
    """A concept on its way into the table."""

    concept: str
    """The code points, in hexadecimal."""
    name: str
    """The CLDR name."""
    keywords: list[str]
    """The CLDR keywords, without the name."""
    category: str
    """The Unicode group."""
    kind: str
    """The Unicode subgroup, in plain words."""
    drawings: dict[str, bytes] = field(default_factory=dict)
    """WebP images by artist."""
    split: str = "train"
    """train, validation or unseen."""


@click.command(help=__doc__)
@click.option("--downloads", type=click.Path(path_type=Path, exists=True), required=True)
@click.option("--out", type=click.Path(path_type=Path), required=True)
def main(downloads: Path, out: Path) -> None:
    """Run the command."""
    entries = read_entries(downloads)
    draw(entries, downloads)
    groups = group(entries)
    split(groups)
    rows = [row(entry, artist) for entry in entries for artist in entry.drawings]
    out.mkdir(parents=True, exist_ok=True)
    Dataset.from_list(rows, features=FEATURES).to_parquet(out / "emoji.parquet")
    report(entries, rows, groups)


def read_entries(downloads: Path) -> list[Entry]:
    """Read base emoji with a plain CLDR English name, no flags, no components, in Unicode order."""
    cldr = read_tar(archive("cldr", downloads), ("annotations/en/",))
    (document,) = (json.loads(text) for name, text in cldr.items() if name.endswith(".json"))
    annotations = document["annotations"]["annotations"]
    kinds = tomllib.loads((HERE / "kinds.toml").read_text())
    listing = read_tar(archive("noto", downloads), ("emoji.json",))["emoji.json"]
    entries = []
    for emoji in sorted(json.loads(listing), key=lambda e: e["sort_order"]):
        if emoji["category"] in ("Flags", "Component"):
            continue
        text = "".join(chr(int(point, 16)) for point in emoji["unified"].split("-"))
        note = annotations.get(text) or annotations.get(text.replace("\ufe0f", ""))
        if not note:
            continue
        name = note["tts"][0]
        keywords = [k for k in note.get("default", []) if clean(k) != clean(name)]
        category, kind = clean(emoji["category"]), kinds[emoji["subcategory"]]
        entries.append(Entry(emoji["unified"].lower(), name, keywords, category, kind))
    return entries


def draw(entries: Iterable[Entry], downloads: Path) -> None:
    """Give every entry its drawings: 64 x 64 RGB on white, as WebP."""
    for artist, folder in FOLDERS.items():
        files = read_tar(archive(artist, downloads), (folder,))
        # Vendors disagree on where the variation selector belongs, so match without it.
        by_points = {bare(Path(name).stem): data for name, data in sorted(files.items())}
        for entry in tqdm(entries, desc=artist, file=sys.stderr):
            if data := by_points.get(bare(entry.concept)):
                entry.drawings[artist] = webp(data)


def bare(points: str) -> str:
    """Drop the variation selector from a sequence of code points."""
    return "-".join(p for p in points.lower().split("-") if p != "fe0f")


def webp(data: bytes) -> bytes:
    """Encode a drawing as WebP, flattened on white before resizing: no dark fringe appears at the edges."""
    picture = Pil.open(io.BytesIO(data)).convert("RGBA")
    flat = Pil.alpha_composite(Pil.new("RGBA", picture.size, "white"), picture).convert("RGB")
    if flat.size != (SIDE, SIDE):
        flat = flat.resize((SIDE, SIDE), Pil.Resampling.LANCZOS)
    buffer = io.BytesIO()
    flat.save(buffer, "WEBP", quality=QUALITY, method=6)
    return buffer.getvalue()


def pixels_sha256(data: bytes) -> str:
    """Hash a drawing's RGB pixels."""
    return hashlib.sha256(Pil.open(io.BytesIO(data)).convert("RGB").tobytes()).hexdigest()


def family(name: str) -> str:
    """Drop man, woman and person from a name: variants of one drawing share a family."""
    rest = " ".join(GENDERED.sub(" ", clean(name)).replace(":", " ").split())
    return rest or "person"


def group(entries: list[Entry]) -> list[list[Entry]]:
    """Join concepts that share a drawing, a name or a family (union-find)."""
    parent = list(range(len(entries)))

    def root(i: int) -> int:
        while parent[i] != i:
            i = parent[i] = parent[parent[i]]
        return i

    owner: dict[Hashable, int] = {}
    for i, entry in enumerate(entries):
        drawings = [pixels_sha256(data) for data in entry.drawings.values()]
        for key in [clean(entry.name), ("family", family(entry.name)), *drawings]:
            j = owner.setdefault(key, i)
            parent[max(root(i), root(j))] = min(root(i), root(j))
    groups = defaultdict(list)
    for i, entry in enumerate(entries):
        groups[root(i)].append(entry)
    return list(groups.values())


def split(groups: list[list[Entry]]) -> None:
    """Split whole groups, kind by kind; what one kind can't give, the next one owes."""
    rng = random.Random(SEED)
    by_kind = defaultdict(list)
    for members in groups:
        by_kind[members[0].kind].append(members)
    owed = dict.fromkeys(SHARES, 0.0)
    for kind in sorted(by_kind):
        pool = by_kind[kind]
        rng.shuffle(pool)
        size = sum(map(len, pool))
        for name, share in SHARES.items():
            owed[name] += share * size
            # The last group always stays in train, so that every kind occurs in it.
            while len(pool) > 1 and owed[name] >= len(pool[-1]) / 2:
                members = pool.pop()
                owed[name] -= len(members)
                for entry in members:
                    entry.split = name


def row(entry: Entry, artist: str) -> dict:
    """Make a row of the table."""
    data = entry.drawings[artist]
    return {
        "image": {"bytes": data, "path": f"{entry.concept}-{artist}.webp"},
        "concept": entry.concept,
        "artist": artist,
        "name": entry.name,
        "keywords": entry.keywords,
        "category": entry.category,
        "kind": entry.kind,
        "split": entry.split,
        "sha256": pixels_sha256(data),
    }


def report(entries: list[Entry], rows: list[dict], groups: list[list[Entry]]) -> None:
    """Print counts of concepts, drawings, kinds and groups as JSON."""
    shared = Counter(r["sha256"] for r in rows)
    train_kinds = {e.kind for e in entries if e.split == "train"}
    click.echo(
        json.dumps(
            {
                "concepts": len(entries),
                "drawings": Counter(r["artist"] for r in rows),
                "concepts by split": Counter(e.split for e in entries),
                "drawings by split": Counter(r["split"] for r in rows),
                "kinds": len({e.kind for e in entries}),
                "kinds in train": len(train_kinds),
                "groups of several concepts": sum(len(g) > 1 for g in groups),
                "concepts in them": sum(len(g) for g in groups if len(g) > 1),
                "drawings that occur again": sum(n for n in shared.values() if n > 1),
            },
            indent=1,
        )
    )


if __name__ == "__main__":
    main()
