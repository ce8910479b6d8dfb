"""The rows of a table as questions about images, read by the columns that options name."""

from __future__ import annotations

import string
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from fedbench_huggingface.broken import Broken
from fedbench_huggingface.cells import Fault, absent, text, texts
from fedbench_huggingface.images import Column
from fedbench_huggingface.options import ImageTextOptions
from fedbench_huggingface.table_rows import Cells, TableRow, read_rows
from fedbench_huggingface.tables import Table


@dataclass(frozen=True, slots=True, kw_only=True)
class Row(TableRow):
    """A question about an image with its right answers."""

    prompt: str
    """The question; empty for a caption."""
    answers: tuple[str, ...]
    """The right answers, the commonest first, each as often as it was given."""
    choices: tuple[str, ...]
    """The answers offered; empty where none are."""


class Answered(Protocol):
    """Options that say where right answers are."""

    @property
    def answers(self) -> Sequence[str]:
        """The columns of the right answers."""
        ...

    @property
    def answer_as(self) -> str:
        """Whether these hold texts, letters or numbers."""
        ...

    @property
    def choices(self) -> str | Sequence[str] | None:
        """The column or columns of the answers offered."""
        ...


def read_questions(options: ImageTextOptions, table: Table, column: Column, broken: Broken) -> list[Row]:
    """Read the rows; ``broken`` refuses or notes those that can't be used."""
    more = {"prompt": _listed(options.prompt), "answer": options.answers, "choices": _listed(options.choices)}
    every = Cells.of(options, table, more)

    def read(number: int, image: str) -> Row:
        cells = every[number]
        choices = offered(cells, options.choices)
        return Row(
            prompt=options.prompt_text if options.prompt is None else text(cells[options.prompt], "prompt"),
            answers=right_answers(options, cells, choices),
            choices=tuple(dict.fromkeys(choice for choice in choices if choice)),
            **every.common(number, image),
        )

    return read_rows(table, column, broken, read)


def _listed(names: str | Sequence[str] | None) -> list[str]:
    return [] if names is None else [names] if isinstance(names, str) else list(names)


def offered(cells: Mapping[str, Any], names: str | Sequence[str] | None) -> list[str]:
    """The choices by their places; empty where a place has none."""
    if names is None:
        return []
    if isinstance(names, str):
        if not isinstance(cells[names], list):
            raise Fault("choices that are no list", f"it is {cells[names]!r:.40}")
        return [text(choice, "choice") for choice in cells[names]]
    return ["" if absent(cells[name]) else text(cells[name], "choice") for name in names]


def right_answers(options: Answered, cells: Mapping[str, Any], choices: Sequence[str]) -> tuple[str, ...]:
    """The right answers, the commonest first."""
    given = [answer for name in options.answers for answer in texts(cells[name], "answer")]
    if not given:
        raise Fault("no answer")
    if options.answer_as != "text":
        given = [_named(options.answer_as, answer, choices) for answer in given]
    counted = Counter(given)
    answers = tuple(sorted(given, key=lambda answer: -counted[answer]))
    if options.choices is not None and answers[0] not in choices:
        offered = ", ".join(map(repr, choices)) or "none"
        raise Fault("answer among no choices", f"it is {answers[0]!r}, they are {offered}")
    return answers


def _named(kind: str, answer: str, choices: Sequence[str]) -> str:
    """The choice that an answer names by its letter or number."""
    letter = answer.strip("().").upper()
    place = string.ascii_uppercase.find(letter) if len(letter) == 1 else -1
    if kind == "index":
        place = int(answer) if answer.isdecimal() else -1
    if not 0 <= place < len(choices) or not choices[place]:
        raise Fault("answer among no choices", f"it is {answer!r} of {len(choices)}")
    return choices[place]
