"""easy-VQA: one coloured shape; its own questions in the words of ``fedbench_easyvqa``."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import cache, partial

from fedbench_easyvqa.dataset import Pictures, files, put, read
from fedbench_easyvqa.hooks import EasyVQAOptions
from fedbench_easyvqa.questions import CHOICES, Half, Task
from fedbench_easyvqa.questions import Question as Asked

from fedbench import sha256_file
from fedbench_preferences.questions import Question, Source

TASKS: dict[str, Task] = {
    "color": "what-color",
    "shape": "what-shape",
    "yesno-color": "yesno-color",
    "yesno-shape": "yesno-shape",
}


@cache
def shapes() -> Source:
    """Load all 5,000 images of easy-VQA's two halves."""
    halves: tuple[Half, ...] = ("train", "test")
    asked = list(dict.fromkeys(q for half in halves for q in put(read(half), EasyVQAOptions())))
    names = sorted({(question.half, question.image) for question in asked})
    paths = files(names)
    return Source(
        images=Pictures(paths),
        digests=[sha256_file(path) for path in paths],
        ask={task: partial(_questions, asked, names, theirs) for task, theirs in TASKS.items()},
    )


def _questions(asked: Sequence[Asked], names: Sequence[tuple[Half, int]], task: Task) -> Iterator[Question]:
    places = {name: place for place, name in enumerate(names)}
    for question in asked:
        if question.task == task:
            wrong = tuple(choice for choice in CHOICES[task] if choice != question.answer)
            place = places[question.half, question.image]
            yield Question(place, question.text, question.answer, wrong, f"{question.half} {question.image}")
