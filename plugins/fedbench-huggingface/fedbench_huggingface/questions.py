"""Suites of the data set ``image-text``: rows that are asked about, in each form."""

from __future__ import annotations

import random
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Sequence

from fedbench import Item, derive
from fedbench_huggingface.options import ImageTextOptions
from fedbench_huggingface.rows import Row

Place = Callable[[Row], int]
"""The number of a row's image in the data."""
Build = Callable[[ImageTextOptions, Sequence[Row], Sequence[Row], Place], Iterator[Item]]
"""Makes items of rows, all held-out rows and the images' places."""


def captions(
    options: ImageTextOptions, rows: Sequence[Row], held_out: Sequence[Row], place: Place
) -> Iterator[Item]:
    """Each answer as a text whose likelihood is measured."""
    return (
        Item(place(row), row.prompt, answer, row.dependent)
        for row in rows
        for answer in dict.fromkeys(row.answers)
    )


def generated(
    options: ImageTextOptions, rows: Sequence[Row], held_out: Sequence[Row], place: Place
) -> Iterator[Item]:
    """Each row as a question to be answered in words: by its answer or, of several, by any of them."""
    return (
        Item(
            image=place(row),
            prompt=row.prompt,
            answer=row.answers[0],
            group=row.dependent,
            references=row.answers if len(row.answers) > 1 else (),
        )
        for row in rows
    )


def yes_or_no(
    options: ImageTextOptions, rows: Sequence[Row], held_out: Sequence[Row], place: Place
) -> Iterator[Item]:
    """The rows that are answered by yes or no, in the data's own spelling."""
    spelt = Counter(row.answers[0] for row in held_out if row.answers[0].lower() in ("yes", "no"))
    spelling = {answer.lower(): answer for answer, _ in reversed(spelt.most_common())}
    yes, no = (spelling.get(word, word) for word in ("yes", "no"))
    for row in rows:
        if row.answers[0].lower() in ("yes", "no"):
            answer = yes if row.answers[0].lower() == "yes" else no
            yield Item(place(row), row.prompt, answer, row.dependent, (yes, no))


def choices(
    options: ImageTextOptions, rows: Sequence[Row], held_out: Sequence[Row], place: Place
) -> Iterator[Item]:
    """The right answer among the row's choices, or else among other held-out rows' answers.

    These are rows of the same question and, with ``choices_within``, of the same label. A row that finds no
    other answer is left out.
    """
    pools: dict[tuple[str, ...], set[str]] = defaultdict(set)
    for row in held_out:
        pools[_kin(options, row)] |= {*row.answers}
    for row in rows:
        offered = row.choices
        if options.choices is None:
            others = sorted(pools[_kin(options, row)] - {*row.answers})
            drawn = random.Random(derive(options.seed, "choices", row.image, row.prompt, row.answers[0]))
            taken = drawn.sample(others, min(len(others), options.drawn_choices - 1))
            offered = tuple(sorted((row.answers[0], *taken)))
        if len(offered) > 1:
            yield Item(place(row), row.prompt, row.answers[0], row.dependent, offered)


def _kin(options: ImageTextOptions, row: Row) -> tuple[str, ...]:
    columns = list(options.label_names.values())
    within = [] if options.choices_within is None else [row.labels[columns.index(options.choices_within)]]
    return (*within, row.prompt)


BUILD: dict[str, Build] = {
    "vqa": generated,
    "caption": captions,
    "choice": choices,
    "yesno": yes_or_no,
    "generate": generated,
}
"""How the items of each suite are made."""
