"""easy-VQA as alignment data. A unit is an image as one task asks about it: a task can be a client."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import easy_vqa
import numpy as np

from fedbench import (
    AlignmentData,
    Item,
    Pair,
    StoredImages,
    Suite,
    UsageError,
    derive,
    sha256_file,
    sha256_json,
)
from fedbench_easyvqa.hooks import EasyVQAOptions
from fedbench_easyvqa.questions import CHOICES, YESNO, Half, Question, Task, balanced, couples, shortened


@dataclass(frozen=True)
class Pictures(StoredImages):
    """Image files, opened when asked for."""

    paths: Sequence[Path]
    """The images' files."""

    def __len__(self) -> int:
        return len(self.paths)

    def stored(self, number: int) -> bytes:
        """The file of image ``number``."""
        return self.paths[number].read_bytes()


def easyvqa(options: EasyVQAOptions) -> AlignmentData:
    """Make the data: training pairs from some of the train images.

    Suites come in two splits: ``validation`` (the other train images) and ``test`` (the test images).
    """
    train = list(dict.fromkeys(put(read("train"), options)))
    test = list(dict.fromkeys(put(read("test"), options)))
    images = sorted({question.image for question in train})
    learned = set(_rng(options, "images").sample(images, options.images))
    held_out = {"validation": [q for q in train if q.image not in learned], "test": test}
    places: dict[tuple[Half, int, Task], int] = {}

    def place(question: Question) -> int:
        return places.setdefault((question.half, question.image, question.task), len(places))

    training = _fair([q for q in train if q.image in learned], options)
    pairs = tuple(Pair(place(question), question.text, question.answer) for question in training)
    suites = [suite for split, asked in held_out.items() for suite in _suites(split, asked, place, options)]
    paths = files([(half, image) for half, image, _ in places])
    return AlignmentData(
        name="easy-vqa",
        image_fingerprint=sha256_json([sha256_file(path) for path in paths]),
        images=Pictures(paths),
        units=np.arange(len(places)),
        pairs=pairs,
        suites={suite.key: suite for suite in suites},
        labels={"task": [task for _, _, task in places]},
    )


def read(half: Half) -> Iterator[Question]:
    """Read the questions of a half, in easy-VQA's order and words."""
    questions = {"train": easy_vqa.get_train_questions, "test": easy_vqa.get_test_questions}
    try:
        rows = zip(*questions[half](), strict=True)
    except (OSError, ValueError) as error:
        raise _damaged(error) from error
    return (Question(half, image, text, answer) for text, answer, image in rows)


def put(questions: Iterable[Question], options: EasyVQAOptions) -> Iterator[Question]:
    """Select and rephrase the questions as ``options`` say."""
    for question in questions:
        if options.negated or not question.negated:
            yield shortened(question) if options.wording == "short" else question


def _rng(options: EasyVQAOptions, *names: str) -> random.Random:
    return random.Random(derive(options.seed, *names))


def _fair(questions: Sequence[Question], options: EasyVQAOptions) -> list[Question]:
    """Keep all open questions, and of the yes/no questions as many with yes as with no for each text."""
    yesno = [question for question in questions if question.answer in YESNO]
    kept = {question for couple in couples(yesno, _rng(options, "couples")) for question in couple}
    return [question for question in questions if question.answer not in YESNO or question in kept]


def _suites(
    split: str, asked: Sequence[Question], place: Callable[[Question], int], options: EasyVQAOptions
) -> Iterator[Suite]:
    """Make a suite of each task's questions, and of all of them one as a choice and one to be generated."""
    everything: list[Item] = []
    for task, choices in CHOICES.items():
        chosen = balanced(asked, task, options.items, _rng(options, split, task))
        items = [Item(place(q), q.text, q.answer, str(q.image), choices) for q in chosen]
        yield Suite(split, task, "yesno" if choices == YESNO else "choice", tuple(items))
        everything += items
    yield Suite(split, "answer", "choice", tuple(everything))
    yield Suite(split, "generate", "generate", tuple(replace(item, choices=()) for item in everything))


def files(images: Iterable[tuple[Half, int]]) -> list[Path]:
    """List the files of images in the installed easy-vqa package."""
    try:
        paths = {"train": easy_vqa.get_train_image_paths(), "test": easy_vqa.get_test_image_paths()}
        return [Path(paths[half][image]) for half, image in images]
    except (OSError, KeyError) as error:
        raise _damaged(error) from error


def _damaged(error: Exception) -> UsageError:
    return UsageError("can't read easy-VQA", why=repr(error), fix="reinstall easy-vqa")
