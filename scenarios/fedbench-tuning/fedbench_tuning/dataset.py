"""Instruction tuning as alignment data. A unit is a picture that a task asks about: tasks can be clients."""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace

import numpy as np
from PIL import Image

from fedbench import AlignmentData, Item, Pair, StoredImages, Suite, UsageError, derive, sha256_json, suggest
from fedbench_tuning.hooks import TuningOptions
from fedbench_tuning.pictures import Picture, Pictures, Pool, pictures
from fedbench_tuning.questions import CODED, TASKS, YESNO, Question, Task, coded, draw

PLAIN = "plain"
"""The codebook of answers in plain words."""
Place = tuple[int, Task, str]
"""A unit: a picture, the task that asks about it, and the codebook that it is answered in."""


@dataclass
class Units:
    """Units, numbered in the order they are first used."""

    places: dict[Place, int] = field(default_factory=dict)
    """The number of each."""

    def number(self, picture: int, task: Task, codebook: str) -> int:
        """The number of a unit; a new one if it has none."""
        return self.places.setdefault((picture, task, codebook), len(self.places))


@dataclass(frozen=True)
class UnitPictures(StoredImages):
    """The pictures of the units, as images."""

    pictures: Pictures
    """All pictures."""
    numbers: Sequence[int]
    """The picture of each unit."""

    def __len__(self) -> int:
        return len(self.numbers)

    def stored(self, number: int) -> bytes:
        """The encoded picture of unit ``number``."""
        return self.pictures.stored(self.numbers[number])

    def __getitem__(self, number: int) -> Image.Image:  # type: ignore[override]
        """Open the picture of unit ``number``."""
        return self.pictures[self.numbers[number]]


def tuning(options: TuningOptions) -> AlignmentData:
    """Make the data: training pairs of the clients' pictures.

    Suites come in two splits, ``validation`` and ``test``, whose drawings show concepts that neither the
    start, the clients nor the LLM have met: one for each task, and ``answer`` and ``generate`` with all of
    them.
    """
    listed, images = pictures()
    asked = _tasks(options)
    units = Units()
    pairs = tuple(
        Pair(units.number(question.picture, question.task, codebook), question.prompt, question.answer)
        for task in asked
        for codebook, question in _drawn(task, "clients", listed, options)
    )
    suites = [
        suite for split in ("validation", "test") for suite in _suites(split, asked, listed, units, options)
    ]
    places = list(units.places)
    shown = [listed[number] for number, _, _ in places]
    return AlignmentData(
        name="tuning",
        image_fingerprint=sha256_json([picture.digest for picture in shown]),
        images=UnitPictures(images, [number for number, _, _ in places]),
        units=np.arange(len(places)),
        pairs=pairs,
        suites={suite.key: suite for suite in suites},
        labels={
            "task": [task for _, task, _ in places],
            "category": [picture.category for picture in shown],
            "concept": [picture.concept for picture in shown],
            "artist": [picture.artist for picture in shown],
            "codebook": [codebook for _, _, codebook in places],
        },
    )


def _tasks(options: TuningOptions) -> tuple[Task, ...]:
    for task in options.tasks:
        if task not in TASKS:
            raise UsageError(f"data 'tuning': there is no task {task!r}", fix=suggest(task, TASKS))
    return tuple(task for task in TASKS if task in options.tasks or not options.tasks)


def _drawn(
    task: Task, pool: Pool, listed: Sequence[Picture], options: TuningOptions
) -> Iterator[tuple[str, Question]]:
    """Draw a task's questions about a pool's pictures, with the codebook of each."""
    members = {number: picture for number, picture in enumerate(listed) if picture.pool == pool}
    count = options.pairs if pool == "clients" else options.items
    for book in range(max(1, options.codebooks)):
        rng = random.Random(derive(options.seed, pool, task, book))
        for question in draw(task, members, count, rng):
            if options.codebooks:
                yield f"codebook {book}", coded(question, book) if task in CODED else question
            else:
                yield PLAIN, question


def _suites(
    split: Pool, tasks: Sequence[Task], listed: Sequence[Picture], units: Units, options: TuningOptions
) -> Iterator[Suite]:
    """Make a suite of each task's questions, and of all of them one as a choice and one to be generated."""
    everything: list[Item] = []
    for task in tasks:
        items = [
            Item(
                units.number(question.picture, task, codebook),
                question.prompt,
                question.answer,
                listed[question.picture].group,
                question.choices,
            )
            for codebook, question in _drawn(task, split, listed, options)
        ]
        form = "yesno" if items[0].choices == YESNO else "choice"
        yield Suite(split, task, form, tuple(items))
        everything += items
    yield Suite(split, "answer", "choice", tuple(everything))
    yield Suite(split, "generate", "generate", tuple(replace(item, choices=()) for item in everything))
