"""Public benchmarks in their published columns, a few rows each, as parquet in their repositories' layout."""

import io

import datasets
import numpy as np
from PIL import Image

TEXT, NUMBER, IMAGE = datasets.Value("string"), datasets.Value("int64"), datasets.Image()
TEXTS = datasets.List(TEXT)


def picture(name, number):
    """An image of its own for every benchmark and number."""
    seed = [number, *name.encode()]
    pixels = np.random.default_rng(seed).integers(0, 256, (6, 8, 3), dtype=np.uint8)
    file = io.BytesIO()
    Image.fromarray(pixels).resize((40, 30), Image.Resampling.NEAREST).save(file, "png")
    return {"bytes": file.getvalue(), "path": f"{name}-{number}.png"}


def pope():
    """Two images, each asked about in all three ways, yes and no."""
    for i in range(12):
        category = ("adversarial", "popular", "random")[i // 4]
        yield {
            "id": str(i), "question_id": str(i), "question": f"Is there a cat {i} in the image?",
            "answer": ("yes", "no")[i % 2], "image_source": f"COCO_val2014_{i % 4 // 2:012d}",
            "image": picture("pope", i % 4 // 2), "category": category,
        }  # fmt: skip


MME = (
    "existence", "count", "position", "color", "posters", "celebrity", "scene", "landmark", "artwork", "OCR",
    "commonsense_reasoning", "numerical_calculation", "text_translation", "code_reasoning",
)  # fmt: skip


def mme():
    """Two questions about an image of every category."""
    for i in range(28):
        yield {
            "question_id": f"{MME[i // 2]}/{i // 2:04d}.png", "image": picture("mme", i // 2),
            "question": f"Is this {('one', 'two')[i % 2]}? Please answer yes or no.",
            "answer": ("Yes", "No")[i % 2], "category": MME[i // 2],
        }  # fmt: skip


MMBENCH = (
    "attribute_reasoning", "coarse_perception", "finegrained_perception (instance-level)",
    "finegrained_perception (cross-instance)", "logic_reasoning", "relation_reasoning",
)  # fmt: skip


def mmbench():
    """A question of each ability; every second has two choices, every third a hint."""
    for i in range(6):
        yield {
            "index": i, "question": f"what is thing {i}?", "hint": "It is cold." if i % 3 == 0 else "nan",
            "answer": "AB"[i % 2], "A": f"a {i}", "B": f"b {i}", "C": "nan" if i % 2 else "c",
            "D": "nan" if i % 2 else "d", "category": "x", "image": picture("mmbench", i), "source": "y",
            "L2-category": MMBENCH[i], "comment": "nan", "split": "dev",
        }  # fmt: skip


def seed_bench():
    """Three questions about images and one about a video."""
    for i in range(4):
        yield {
            "answer": "ABCD"[i], "choice_a": "one", "choice_b": "two", "choice_c": "three", "choice_d": "4",
            "data_id": str(i), "data_type": "video" if i == 2 else "image", "question": f"how many {i}?",
            "question_id": str(i), "question_type_id": i + 1,
            "image": [picture("seed", i)] * (3 if i == 2 else 1), "segment": None,
        }  # fmt: skip


def mmvp():
    """Two pairs of images."""
    for i in range(4):
        yield {
            "Index": i + 1, "Question": f"Is door {i // 2} open?", "Options": "(a) Open (b) Closed (ajar)",
            "Correct Answer": ("(a)", "(b)")[i % 2], "image": picture("mmvp", i),
        }  # fmt: skip


def scienceqa():
    """A question of each subject; the first has a hint."""
    for i, subject in enumerate(("natural science", "social science", "language science")):
        choices = ["ice", "water", "steam"][: 2 + i % 2]
        yield {
            "image": picture("scienceqa", i), "question": f"what is it {i}?", "choices": choices,
            "answer": i % 2, "hint": "" if i else "Figure: a kettle.", "task": "closed choice",
            "grade": f"grade{i}", "subject": subject, "topic": "physics", "category": "Heat",
            "skill": "Name it", "lecture": "", "solution": "",
        }  # fmt: skip


def ok_vqa():
    for i in range(3):
        yield {
            "question_id": str(i), "image": picture("okvqa", i), "question": f"what sport {i}?",
            "answers": ["race"] * 4 + ["motocross"] * 4 + ["ride"] * 2, "question_type": "ten",
            "answer_type": "other",
        }  # fmt: skip


def textvqa():
    for i in range(3):
        yield {
            "image_id": f"im{i}", "question_id": i, "question": f"what brand {i}?",
            "question_tokens": ["what", "brand"], "image": picture("textvqa", i), "image_width": 40,
            "image_height": 30, "flickr_original_url": "", "flickr_300k_url": "",
            "answers": ["dakota"] * 7 + ["dakota digital"] * 2 + ["unanswerable"],
            "image_classes": ["Person"], "set_name": "val", "ocr_tokens": ["DAKOTA"],
        }  # fmt: skip


def docvqa():
    """Two pages of one document and one of another."""
    for i in range(3):
        yield {
            "questionId": str(i), "question": f"what is the date {i}?", "question_types": ["form"],
            "image": picture("docvqa", i), "docId": i, "ucsf_document_id": f"doc{i // 2}",
            "ucsf_document_page_no": str(i), "answers": ["May 5, 1999", "5/5/99"][: 1 + i % 2],
            "data_split": "val",
        }  # fmt: skip


def chartqa():
    for i in range(4):
        yield {
            "type": ("human_test", "augmented_test")[i % 2], "question": f"how much {i}?",
            "answer": ("14", "0.57", "Germany", "[Red, blue]")[i], "image": picture("chartqa", i),
        }  # fmt: skip


TABLES = {
    "pope": ("data/test-00000-of-00001.parquet", pope, {}),
    "mme": ("data/test-00000-of-00001.parquet", mme, {}),
    "mmbench": ("en/dev-00000-of-00001.parquet", mmbench, {"index": NUMBER}),
    "seed-bench": (
        "data/test-00000-of-00001.parquet",
        seed_bench,
        {"image": datasets.List(IMAGE), "question_type_id": NUMBER, "segment": datasets.List(NUMBER)},
    ),
    "mmvp": ("data/train-00000-of-00001.parquet", mmvp, {"Index": NUMBER}),
    "scienceqa": (
        "ScienceQA-IMG/test-00000-of-00001.parquet",
        scienceqa,
        {"choices": TEXTS, "answer": NUMBER},
    ),
    "ok-vqa": ("data/val2014-00000-of-00001.parquet", ok_vqa, {"answers": TEXTS}),
    "textvqa": (
        "data/validation-00000-of-00001.parquet",
        textvqa,
        {
            "question_id": NUMBER, "question_tokens": TEXTS, "image_width": NUMBER, "image_height": NUMBER,
            "answers": TEXTS, "image_classes": TEXTS, "ocr_tokens": TEXTS,
        },
    ),
    "docvqa": (
        "DocVQA/validation-00000-of-00001.parquet",
        docvqa,
        {"question_types": TEXTS, "docId": NUMBER, "answers": TEXTS},
    ),
    "chartqa": ("data/test-00000-of-00001.parquet", chartqa, {}),
}  # fmt: skip
"""By benchmark: the file, its rows, and the types of columns that are no texts."""


def write(folder, name, rows=None):
    """A benchmark's file below ``folder``, with ``rows`` in the place of its own."""
    file, make, types = TABLES[name]
    rows = list(make()) if rows is None else rows
    features = dict.fromkeys(rows[0], TEXT) | {"image": IMAGE} | types
    features = {column: kind for column, kind in features.items() if column in rows[0]}
    path = folder / name / file
    path.parent.mkdir(parents=True, exist_ok=True)
    datasets.disable_progress_bars()
    datasets.Dataset.from_list(rows, features=datasets.Features(features)).to_parquet(path)
    return path
