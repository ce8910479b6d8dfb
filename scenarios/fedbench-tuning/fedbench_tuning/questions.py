"""Seven kinds of questions about pictures, and fair samples of them. No torch."""

from __future__ import annotations

import random
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Literal, get_args

from fedbench_easyvqa.questions import COLORS, SHAPES, YESNO
from fedbench_emoji import texts

from fedbench import UsageError
from fedbench_tuning.pictures import Fact, Picture

Task = Literal["kind", "category", "artist", "drawing-yesno", "color", "shape", "shape-yesno"]
TASKS: tuple[Task, ...] = get_args(Task)

PROMPTS: dict[Task, str] = {
    "kind": "what sort of thing?",
    "category": "which group?",
    "artist": "who drew it?",
    "color": "what color?",
    "shape": "what shape?",
}
"""In words that the LLM has not been pre-trained on: the start has to be taught them."""
ARTISTS = ("fluent", "noto", "twemoji")
CATEGORIES = (
    "activities",
    "animals & nature",
    "food & drink",
    "objects",
    "people & body",
    "smileys & emotion",
    "symbols",
    "travel & places",
)
CLOSED: dict[Task, tuple[str, ...]] = {
    "category": CATEGORIES,
    "artist": ARTISTS,
    "color": COLORS,
    "shape": SHAPES,
}
"""Tasks that offer every answer there is; ``kind`` offers four."""
DENIED: dict[Task, tuple[Fact, ...]] = {
    "drawing-yesno": ("category", "kind"),
    "shape-yesno": ("color", "shape"),
}
"""The facts that yes/no questions name."""
OFFERED = 4
"""Kinds to choose from."""
CODED: tuple[Task, ...] = ("category", "color")
"""Tasks whose answers are letters where clients have codebooks of their own."""
LETTERS = ("a", "b", "c", "d", "e", "f", "g", "h")


@dataclass(frozen=True, slots=True)
class Question:
    """A question about a picture."""

    picture: int
    """The picture's place in the list of all."""
    task: Task
    """What is asked."""
    prompt: str
    """The words of the question."""
    answer: str
    """The right answer."""
    choices: tuple[str, ...]
    """All answers offered; for yes/no yes, then no."""


def draw(task: Task, pictures: Mapping[int, Picture], count: int, rng: random.Random) -> list[Question]:
    """Draw ``count`` questions of ``task``, none about a picture that has been asked about, so that the text
    says nothing of the answer.

    Every answer comes equally often; of four offered kinds each is right once; every yes/no text is
    as often right as wrong. Raises :class:`UsageError` if there are too few pictures.
    """
    if task in DENIED:
        turns = _yesno(task, pictures, rng)
    elif task in CLOSED:
        turns = _closed(task, pictures, rng)
    else:
        turns = _kinds(pictures, rng)
    chosen: list[Question] = []
    while len(chosen) < count and (turn := next(turns, None)):
        chosen += turn
    if len(chosen) < count:
        raise UsageError(
            f"data 'tuning': {count} questions of task {task!r} can't be balanced",
            why=f"there are {len(chosen)}",
            fix="ask for fewer",
        )
    return chosen[:count]


def _by_answer(fact: str, pictures: Mapping[int, Picture], rng: random.Random) -> dict[str, list[int]]:
    """The pictures by what is true of them, each list in random order."""
    found: dict[str, list[int]] = {}
    for number, picture in pictures.items():
        if answer := picture.facts.get(fact):
            found.setdefault(answer, []).append(number)
    for members in found.values():
        rng.shuffle(members)
    return dict(sorted(found.items()))


def _closed(task: Task, pictures: Mapping[int, Picture], rng: random.Random) -> Iterator[list[Question]]:
    """One question for each answer there is."""
    answers, choices = _by_answer(task, pictures, rng), CLOSED[task]
    while all(answers.get(answer) for answer in choices):
        yield [_open(task, answers[answer].pop(), answer, choices) for answer in choices]


def _kinds(pictures: Mapping[int, Picture], rng: random.Random) -> Iterator[list[Question]]:
    """Four questions with the same four choices, each of which is once right."""
    answers = _by_answer("kind", pictures, rng)
    while len(answers) >= OFFERED:
        order = rng.sample(list(answers), len(answers))
        for start in range(0, len(order) - OFFERED + 1, OFFERED):
            choices = tuple(order[start : start + OFFERED])
            yield [_open("kind", answers[answer].pop(), answer, choices) for answer in choices]
        answers = {answer: members for answer, members in answers.items() if members}


def _open(task: Task, picture: int, answer: str, choices: Sequence[str]) -> Question:
    return Question(picture, task, PROMPTS[task], answer, tuple(choices))


def _yesno(task: Task, pictures: Mapping[int, Picture], rng: random.Random) -> Iterator[list[Question]]:
    """Two questions with the same text: about a picture of which it is true, and one of which it isn't."""
    known = [_by_answer(fact, pictures, rng) for fact in DENIED[task]]
    used: set[int] = set()
    asked = True
    while asked:
        asked = False
        for answers in known:
            for named in rng.sample(list(answers), len(answers)):
                others = [n for other, members in answers.items() if other != named for n in members]
                true = next((n for n in answers[named] if n not in used), None)
                false = next((n for n in rng.sample(others, len(others)) if n not in used), None)
                if true is not None and false is not None:
                    used |= {true, false}
                    asked = True
                    text = texts.YESNO.format(named)
                    yield [Question(true, task, text, "yes", YESNO), Question(false, task, text, "no", YESNO)]


def coded(question: Question, book: int) -> Question:
    """Answer a question of ``CODED`` in letters as codebook number ``book`` has them; no two of eight
    codebooks have the same letter for anything."""
    letters = {
        word: LETTERS[(place + book) % len(LETTERS)] for place, word in enumerate(CLOSED[question.task])
    }
    return replace(question, answer=letters[question.answer], choices=LETTERS)
