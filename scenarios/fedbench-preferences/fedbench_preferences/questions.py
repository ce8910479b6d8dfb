"""What is asked about a picture, what is right and what a sibling's wrong answer would be. No torch."""

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
"""Of a source's pictures: for the start policy's training, the clients, the server's two sets, the tests."""

YESNO = ("yes", "no")


@dataclass(frozen=True, slots=True)
class Question:
    """A question about picture ``picture`` of a source; ``wrong`` are answers right for others like it."""

    picture: int
    prompt: str
    answer: str
    wrong: tuple[str, ...]
    group: str


@dataclass(frozen=True)
class Source:
    """Pictures and all that their annotations answer. ``digests[i]`` is the content hash of ``images[i]``;
    ``ask[task]()`` gives the task's questions about every picture."""

    images: Sequence[Image]
    digests: Sequence[str]
    ask: Mapping[str, Callable[[], Iterable[Question]]]

    @cached_property
    def pools(self) -> list[Pool]:
        """Who may see each picture."""
        return [pool_of(digest) for digest in self.digests]


def pool_of(digest: str) -> Pool:
    """The pool of the picture with this content: a picture that occurs twice is in one."""
    return random.Random(derive(0, "pool", digest)).choices(list(SHARES), list(SHARES.values()))[0]


def balanced(
    questions: Iterable[Question], count: int, used: Counter[int], rng: random.Random
) -> list[Question]:
    """``count`` questions (an even number), or all: every answer about equally often, and first the pictures
    that are least ``used``.

    A yes/no text comes as often with yes as with no, so the text says nothing.
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
