"""Questions about pictures, with the right answer and wrong ones. No torch."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Literal

from fedbench import derive

if TYPE_CHECKING:
    from PIL.Image import Image

Pool = Literal["start", "clients", "queries", "comparisons", "test"]
SHARES: dict[Pool, float] = {
    "start": 0.33,
    "clients": 0.27,
    "queries": 0.13,
    "comparisons": 0.07,
    "test": 0.20,
}
"""Shares of a source's pictures: the start policy's training, clients, the server's two sets, tests."""

YESNO = ("yes", "no")


@dataclass(frozen=True, slots=True)
class Question:
    """A question about a picture of a source."""

    picture: int
    """The picture's index in its source."""
    prompt: str
    """The words of the question."""
    answer: str
    """The right answer."""
    wrong: tuple[str, ...]
    """Wrong answers, which are right for other pictures."""
    group: str
    """What makes questions dependent; standard errors are clustered by it."""


@dataclass(frozen=True)
class Source:
    """Pictures and the questions that their annotations answer."""

    images: Sequence[Image]
    """The pictures."""
    digests: Sequence[str]
    """The content hash of each picture."""
    ask: Mapping[str, Callable[[], Iterable[Question]]]
    """By task: a function that lists its questions about every picture."""

    @cached_property
    def pools(self) -> list[Pool]:
        """The pool of each picture."""
        return [pool_of(digest) for digest in self.digests]


def pool_of(digest: str) -> Pool:
    """Draw the pool of the picture with this content hash: a picture that occurs twice is in one pool."""
    return random.Random(derive(0, "pool", digest)).choices(list(SHARES), list(SHARES.values()))[0]


def balanced(
    questions: Iterable[Question], count: int, used: Counter[int], rng: random.Random
) -> list[Question]:
    """Draw ``count`` questions (an even number), or all: every answer about equally often, and first the
    pictures that are least ``used``.

    A yes/no text comes as often with yes as with no, so the text says nothing of the answer.
    """
    cells: dict[tuple[str, str], list[Question]] = {}
    for question in questions:
        cells.setdefault((question.prompt, question.answer), []).append(question)
    for members in cells.values():
        rng.shuffle(members)
    turns = [[cell] for cell in sorted(cells) if cell[1] not in YESNO]
    turns += [[(text, "yes"), (text, "no")] for text, answer in sorted(cells) if answer == "yes"]
    rng.shuffle(turns)
    chosen: list[Question] = []
    while turns and len(chosen) < count:
        turns = [turn for turn in turns if all(cells.get(cell) for cell in turn)]
        for turn in turns:
            if len(chosen) + len(turn) <= count:
                for cell in turn:
                    question = min(cells[cell], key=lambda q: used[q.picture])
                    cells[cell].remove(question)
                    used[question.picture] += 1
                    chosen.append(question)
    return chosen
