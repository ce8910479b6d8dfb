"""Public benchmarks beside one's own data: more images, which are nobody's, and the suites about them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from fedbench import AlignmentData, Item, StoredImages, Suite, UsageError, sha256_json
from fedbench_huggingface.benchmark import ALL, Benchmark, benchmark
from fedbench_huggingface.benchmark_rows import Question, read_questions
from fedbench_huggingface.broken import Broken
from fedbench_huggingface.images import Column, Pictures
from fedbench_huggingface.options import ImageTextOptions
from fedbench_huggingface.source import Source
from fedbench_huggingface.tables import read_table


class BenchmarkSource(Source):
    """Where a benchmark's files lie."""

    name = "benchmark"


def with_benchmarks(data: AlignmentData, options: ImageTextOptions) -> AlignmentData:
    """Add the suites of ``options.benchmarks`` to data; the same data where there are none.

    No client has their images, and the engine refuses those that clients learn from.
    """
    for name in options.benchmarks:
        data = _with_one(data, name, options)
    return data


def _with_one(data: AlignmentData, name: str, options: ImageTextOptions) -> AlignmentData:
    found = benchmark(name)
    table = replace(read_table(_source(name, options, found), only=found.files), data=f"benchmark {name}")
    broken = Broken(table, options.skip_broken)
    column = Column.only(table, table.require(found.image))
    questions = read_questions(found, table, column, broken, opened=options.skip_broken)
    first: dict[str, int] = {}
    for question in questions:
        first.setdefault(question.image, question.number)
    assert isinstance(data.images, StoredImages)
    place = {image: len(data.images) + number for number, image in enumerate(first)}
    items = {question.number: _item(found, question, place[question.image]) for question in questions}
    parts = {ALL: tuple(items.values())}
    for part, value in found.parts.items():
        parts[part] = tuple(items[question.number] for question in questions if question.part == value)
    suites = [Suite(name, part, found.form, asked) for part, asked in parts.items() if asked]
    return replace(
        data,
        image_fingerprint=sha256_json([data.image_fingerprint, list(first)]),
        images=Joined((data.images, Pictures(column, list(first.values())))),
        units=np.concatenate([data.units, np.full(len(first), -1)]),
        suites={**data.suites, **{suite.key: suite for suite in suites}},
        notes=[*data.notes, *broken.notes],
    )


def _item(found: Benchmark, question: Question, image: int) -> Item:
    several = found.form in ("generate", "vqa") and len(question.answers) > 1
    return Item(
        image=image,
        prompt=question.prompt,
        answer=question.answers[0],
        group=question.group,
        choices=question.choices,
        references=question.answers if several else (),
    )


def _source(name: str, options: ImageTextOptions, found: Benchmark) -> BenchmarkSource:
    """The benchmark's folder below the user's own, if there is one given, or its repository."""
    path = found.repo
    if options.benchmark_folder is not None:
        folder = Path(options.benchmark_folder) / name
        if not folder.is_dir():
            raise UsageError(
                f"there is no benchmark {name!r} among your files",
                where=options.benchmark_folder,
                why=f"it has no folder {name}",
                fix=f"hf download {found.repo} --repo-type dataset --include '{found.files}'"
                f" --local-dir {folder}",
            )
        path = str(folder.absolute())
    return BenchmarkSource(path=path, local_files_only=options.local_files_only)


@dataclass(frozen=True)
class Joined(StoredImages):
    """Images of several sources behind each other."""

    parts: Sequence[StoredImages]
    """The sources."""

    def _at(self, number: int) -> tuple[StoredImages, int]:
        for part in self.parts:
            if number < len(part):
                return part, number
            number -= len(part)
        raise IndexError(number)

    def __len__(self) -> int:
        return sum(map(len, self.parts))

    def stored(self, number: int) -> bytes:
        """The encoded image."""
        part, place = self._at(number)
        return part.stored(place)

    def recipe(self, number: int) -> Any:
        """How its source makes it."""
        part, place = self._at(number)
        return part.recipe(place)

    def __getitem__(self, number: int) -> Image.Image:  # type: ignore[override]
        """Decode image ``number`` as its source does."""
        part, place = self._at(number)
        return part[place]
