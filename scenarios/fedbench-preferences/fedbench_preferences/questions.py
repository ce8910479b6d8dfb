"""What is asked about a picture, what is right and what a sibling's wrong answer would be. No torch."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from fedbench.rng import derive

if TYPE_CHECKING:
    from PIL.Image import Image

Pool = Literal["start", "clients", "queries", "comparisons", "test"]
SHARES: dict[Pool, float] = {
    "start": 0.33,
    "clients": 0.20,
    "queries": 0.15,
    "comparisons": 0.08,
    "test": 0.24,
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
    ``pools[i]`` is who may see it; ``ask[task]()`` gives the task's questions about every picture."""

    images: Sequence[Image]
    digests: Sequence[str]
    pools: Sequence[Pool]
    ask: Mapping[str, Callable[[], Iterable[Question]]]


def pool_of(name: str, pools: Mapping[Pool, float] = SHARES) -> Pool:
    """The pool of the picture called ``name``: drawn once and for all, in the proportions of ``pools``."""
    rng = random.Random(derive(0, "pool", name))
    return rng.choices(list(pools), list(pools.values()))[0]


def balanced(
    questions: Iterable[Question], count: int, used: Counter[int], rng: random.Random
) -> list[Question]:
    """``count`` questions, or all, every answer about equally often; those of pictures least ``used`` first.

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
