"""The papers' data sets in their published columns, a few rows each, as parquet."""

import base64
import io
from collections.abc import Mapping

import datasets
import numpy as np
from PIL import Image

ASPECTS = ("Helpfulness", "Ethical Considerations", "Visual Faithfulness")
OFFERED = ["(A) north", "(B) south", "(C) east", "(D) west", "(E) none of these"]


def picture(*seed: int) -> Image.Image:
    """Another image for every seed."""
    pixels = np.random.default_rng(seed).integers(0, 256, (6, 8, 3), dtype=np.uint8)
    return Image.fromarray(pixels).resize((40, 30), Image.Resampling.NEAREST)


def png(image: Image.Image) -> bytes:
    file = io.BytesIO()
    image.save(file, format="PNG")
    return file.getvalue()


def write(folder, rows, features: Mapping | None = None):
    """``rows`` as two files, as a large data set has many."""
    datasets.disable_progress_bars()
    folder.mkdir(parents=True, exist_ok=True)
    half = (len(rows) + 1) // 2
    for number, part in enumerate((rows[:half], rows[half:])):
        if part:
            made = datasets.Dataset.from_list(part, features=features and datasets.Features(features))
            made.to_parquet(folder / f"train-0000{number}.parquet")
    return folder


def mme(subtasks=("diagram", "book_map_poster", "position", "table", "count"), images=10):
    """Two questions about every image. ``count`` also asks about one image of ``diagram``."""
    rows = []
    for number, subtask in enumerate(subtasks):
        for image in range(images):
            seed = (0, 0) if subtask == "count" and image == 0 else (number, image)
            encoded = base64.b64encode(png(picture(*seed))).decode()
            for question in range(2):
                rows.append(
                    {
                        "index": str(len(rows)), "bytes": encoded, "question": f"where is thing {question}?",
                        "multi-choice options": OFFERED, "answer": "ABCDE"[(image + question) % 5],
                        "category": "Perception/Some Domain", "l2-category": subtask,
                    }
                )  # fmt: skip
    return rows


def _note(rating):
    return {aspect: {"Rating": rating, "Rationale": "because"} for aspect in ASPECTS}


def _rated(name, prompt, image, *answers):
    """A row with (response, rating) of four models."""
    responses, ratings = zip(*answers, strict=True)
    return {
        "id": name, "prompt": prompt, "models": [f"m{i}" for i in range(len(answers))], "image": image,
        "completions": {
            "annotations": [_note(rating) for rating in ratings],
            "model": [f"m{i}" for i in range(len(answers))], "response": list(responses),
        },
    }  # fmt: skip


TEXT = datasets.Value("string")
VLFEEDBACK = {
    "id": TEXT, "prompt": TEXT, "models": datasets.List(TEXT), "image": datasets.Image(),
    "completions": {
        "annotations": datasets.List({aspect: {"Rating": TEXT, "Rationale": TEXT} for aspect in ASPECTS}),
        "model": datasets.List(TEXT), "response": datasets.List(TEXT),
    },
}  # fmt: skip


def vlfeedback(domains=("SVIT", "LLaVAMed", "LLaVAR"), images=10):
    rows = []
    for number, domain in enumerate(domains):
        for image in range(images):
            answers = [("so so", "3"), (f"good {image}", "5"), ("cannot say", "N/A"), (f"bad {image}", "1")]
            rows.append(_rated(f"{domain}-{image}", f"what of {image}?", picture(7, number, image), *answers))
    rows.append(_rated("SVIT-tie", "a tie?", picture(8), ("one", "4"), ("other", "4")))
    rows.append(_rated("elsewhere-1", "no domain?", picture(9), ("one", "4"), ("other", "1")))
    return rows


def povid(images=12):
    """Rows that name files, and the files."""
    files = {f"{image:012d}.jpg": picture(11, image) for image in range(images)}
    rows = [
        {
            "id": name.removesuffix(".jpg"), "image": name,
            "conversations": _talk("what is there?", f"a dog and {name}"),
            "rejected_conversations": _talk("what is there?", f"a dog, a frisbee and {name}"),
        }
        for name in files
    ]  # fmt: skip
    return rows, files


def _talk(question, answer):
    return [{"from": "human", "value": f"<image>\n{question}"}, {"from": "gpt", "value": answer}]


CC12M = {"jpg": datasets.Image(), "txt": TEXT, "cluster": datasets.Value("int64")}


def cc12m(clusters=5, images=10):
    return [
        {"jpg": picture(13, cluster, image), "txt": f"picture {image} of {cluster}", "cluster": cluster}
        for cluster in range(clusters)
        for image in range(images)
    ]


def shelf(folder):
    """All of them, each as a folder, and POVID's images in ``coco``."""
    write(folder / "mme", mme())
    write(folder / "vlfeedback", vlfeedback(), VLFEEDBACK)
    rows, files = povid()
    write(folder / "povid", rows)
    (folder / "coco").mkdir()
    for name, image in files.items():
        image.save(folder / "coco" / name)
    write(folder / "cc12m", cc12m(), CC12M)
    return folder
