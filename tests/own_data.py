"""Writes some questions about images as researchers have them: with a CSV, in JSONL, Parquet, a WebDataset.

The images are easy-VQA's, which comes with fedbench. As a script it writes all of them below a folder::

    python tests/own_data.py FOLDER

Preferences are the same questions with another colour as the worse answer.
"""

import csv
import io
import json
import shutil
import sys
import tarfile
from pathlib import Path

import easy_vqa
import pyarrow as pa
import pyarrow.parquet as pq

SITES = ("north", "south", "east", "west")


def samples(images=400):
    """(file, row) of every image: what colour it shows, as a site asks about it."""
    paths, asked = easy_vqa.get_train_image_paths(), {}
    for text, answer, image in zip(*easy_vqa.get_train_questions(), strict=True):
        if answer not in ("yes", "no") and image < images and "color" in text:
            asked.setdefault(image, (text, answer))
    for image, (question, answer) in sorted(asked.items()):
        row = {"question": question, "answer": answer, "site": SITES[image % len(SITES)]}
        yield Path(paths[image]), row


def write_csv(folder, rows):
    """Images and metadata.csv."""
    folder.mkdir(parents=True)
    for path, _ in rows:
        shutil.copy(path, folder)
    with (folder / "metadata.csv").open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, ["file_name", *rows[0][1]])
        writer.writeheader()
        writer.writerows({"file_name": path.name, **row} for path, row in rows)


def write_jsonl(folder, rows, name="questions.jsonl"):
    """A table that names images in a folder beside it."""
    (folder / "images").mkdir(parents=True)
    for path, _ in rows:
        shutil.copy(path, folder / "images")
    lines = [json.dumps({"file_name": f"images/{path.name}", **row}) for path, row in rows]
    (folder / name).write_text("\n".join(lines) + "\n", encoding="utf-8")


def write_parquet(folder, rows):
    """One file with the images in it."""
    folder.mkdir(parents=True)
    images = [{"bytes": path.read_bytes(), "path": path.name} for path, _ in rows]
    columns = {name: [row[name] for _, row in rows] for name in rows[0][1]}
    pq.write_table(pa.table({"image": images, **columns}), folder / "questions.parquet")


def write_webdataset(folder, rows):
    """Two tars of samples: NUMBER.png and NUMBER.json."""
    folder.mkdir(parents=True)
    half = (len(rows) + 1) // 2
    for number, part in enumerate((rows[:half], rows[half:])):
        with tarfile.open(folder / f"questions-{number:04d}.tar", "w") as tar:
            for path, row in part:
                for end, data in (("png", path.read_bytes()), ("json", json.dumps(row).encode())):
                    member = tarfile.TarInfo(f"{number}-{path.stem}.{end}")
                    member.size = len(data)
                    tar.addfile(member, io.BytesIO(data))


def write_preferences(folder, rows):
    """A table of questions with a right and a wrong answer; it names images in a folder beside it."""
    answers = sorted({row["answer"] for _, row in rows})
    compared = []
    for number, (path, row) in enumerate(rows):
        others = [answer for answer in answers if answer != row["answer"]]
        wrong = others[number % len(others)]
        cells = {"prompt": row["question"], "chosen": row["answer"], "rejected": wrong, "site": row["site"]}
        compared.append((path, cells))
    write_jsonl(folder, compared, "preferences.jsonl")


WRITERS = {"csv": write_csv, "jsonl": write_jsonl, "parquet": write_parquet, "webdataset": write_webdataset}


def write_all(folder, images=400):
    """Write every kind, each into a folder of its name."""
    rows = list(samples(images))
    for kind, write in {**WRITERS, "preferences": write_preferences}.items():
        write(folder / kind, rows)
    return rows


if __name__ == "__main__":
    print(f"{len(write_all(Path(sys.argv[1])))} images in each of {', '.join(WRITERS)}, preferences")
