"""easy-VQA's questions: what each asks for, how it may be put, and fair samples of them. No torch."""

from __future__ import annotations

import random
from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Literal

from fedbench import UsageError

Half = Literal["train", "test"]
Task = Literal["what-color", "what-shape", "yesno-color", "yesno-shape"]
Couple = tuple["Question", "Question"]

COLORS = ("black", "blue", "brown", "gray", "green", "red", "teal", "yellow")
SHAPES = ("circle", "rectangle", "triangle")
YESNO = ("yes", "no")
CHOICES: dict[Task, tuple[str, ...]] = {
    "what-color": COLORS,
    "what-shape": SHAPES,
    "yesno-color": YESNO,
    "yesno-shape": YESNO,
}


@dataclass(frozen=True, slots=True)
class Question:
    """A question about an image of easy-VQA."""

    half: Half
    """``train`` or ``test``."""
    image: int
    """The image's number in its half."""
    text: str
    """The words of the question."""
    answer: str
    """The right answer."""

    @property
    def task(self) -> Task:
        """What it asks for."""
        if self.answer in YESNO:
            return "yesno-shape" if self.subject in SHAPES else "yesno-color"
        return "what-shape" if self.answer in SHAPES else "what-color"

    @property
    def subject(self) -> str:
        """The shape or colour that a yes/no question names."""
        return next(word for word in self.text.strip("?").split() if word in SHAPES + COLORS)

    @property
    def negated(self) -> bool:
        """Whether it asks about an absence, as in "is no blue shape present?"."""
        return not {"no", "not"}.isdisjoint(self.text.split())


def shortened(question: Question) -> Question:
    """Rephrase a question in the forms of ``fedbench_emoji.texts``; an image shows one shape of one
    colour."""
    match question.task:
        case "what-color":
            text = "what color?"
        case "what-shape":
            text = "what is this?"
        case _:
            text = f"is it {'not ' if question.negated else ''}{question.subject}?"
    return replace(question, text=text)


def couples(questions: Iterable[Question], rng: random.Random) -> list[Couple]:
    """Draw random (yes, no) couples of questions with the same text, so that a text says nothing of its
    answer."""
    sides: dict[str, tuple[list[Question], list[Question]]] = {}
    for question in questions:
        sides.setdefault(question.text, ([], []))[YESNO.index(question.answer)].append(question)
    pairs: list[Couple] = []
    for yes, no in sides.values():
        rng.shuffle(yes)
        rng.shuffle(no)
        pairs += zip(yes, no, strict=False)
    return pairs


def balanced(questions: Iterable[Question], task: Task, count: int, rng: random.Random) -> list[Question]:
    """Draw ``count`` questions of ``task``, equally many with each answer; yes and no so for each text.

    Raises :class:`UsageError` if there are too few.
    """
    fitting = [question for question in questions if question.task == task]
    try:
        if CHOICES[task] == YESNO:
            return [
                question for couple in rng.sample(couples(fitting, rng), count // 2) for question in couple
            ]
        by_answer = {answer: [q for q in fitting if q.answer == answer] for answer in CHOICES[task]}
        share = count // len(by_answer)
        return [question for members in by_answer.values() for question in rng.sample(members, share)]
    except ValueError as error:
        raise UsageError(
            f"data 'easy-vqa': {count} questions for {task!r} can't be balanced over the answers",
            why=f"there are {len(fitting)} in all",
            fix="ask for fewer items or train on fewer images",
        ) from error
