"""The rows of a table as questions about images, read by the columns that options name."""

from __future__ import annotations

import string
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import PurePath
from typing import Any, Protocol

from fedbench import BrokenImage, UsageError, sha256_bytes
from fedbench_huggingface.broken import Broken
from fedbench_huggingface.cells import Fault, absent, label, text, texts
from fedbench_huggingface.files import SPELLINGS, SPLITS, TRAIN
from fedbench_huggingface.images import Column, names_files
from fedbench_huggingface.options import ImageTextOptions
from fedbench_huggingface.tables import Table


@dataclass(frozen=True, slots=True)
class Row:
    """A question about an image with its right answers."""

    number: int
    """The row's number in the table."""
    image: str
    """The hash of its image's bytes."""
    prompt: str
    """The question; empty for a caption."""
    answers: tuple[str, ...]
    """The right answers, the commonest first, each as often as it was given."""
    choices: tuple[str, ...]
    """The answers offered; empty where none are."""
    labels: tuple[str, ...]
    """Its values of :func:`label_names`."""
    group: str
    """What must not be split; empty where nothing is but its image."""
    split: str
    """The split that the data itself says: train where it says nothing."""


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


def label_names(options: ImageTextOptions) -> dict[str, str]:
    """Map the names of the labels to their columns."""
    named = {"client": options.client} if options.client is not None else {}
    return named | {name: name for name in options.labels if name != options.client}


def read_rows(options: ImageTextOptions, table: Table, column: Column, broken: Broken) -> list[Row]:
    """Read the rows; ``broken`` refuses or notes those that can't be used.

    Images are hashed, and with ``skip_broken`` opened. Raises :class:`UsageError` if no row is left.
    """
    reader = _Reader.of(options, table)
    rows = []
    for number in range(len(table)):
        try:
            rows.append(reader.row(number, image_hash(column, number, opened=options.skip_broken)))
        except Fault as fault:
            broken.found(number, *fault.args)
    if not rows:
        kind, numbers = max(broken.rows.items(), key=lambda item: len(item[1]))
        raise UsageError(
            f"data {table.data!r} has no row that can be used",
            where=table.place,
            why=f"{kind} in {len(numbers)} of {len(table)}, such as {table.title(numbers[0])}",
            fix="see that data.options names the right columns",
        )
    return rows


def image_hash(column: Column, number: int, *, opened: bool) -> str:
    """Hash a row's image; :class:`Fault` if there is none, or it can't be read or, if ``opened``, opened."""
    if column.is_empty(number):
        raise Fault("no image")
    try:
        encoded = column.encoded(number)
        if opened:
            column.image(number)
    except UsageError as error:
        why = error.__cause__ or error
        missing = "no file" if isinstance(why, FileNotFoundError) else "unreadable image"
        raise Fault(why.fault if isinstance(why, BrokenImage) else missing, why) from error
    return sha256_bytes(encoded)


@dataclass(frozen=True)
class _Reader:
    """The cells of the columns that options name."""

    options: ImageTextOptions
    cells: Mapping[str, Sequence[Any]]
    names: Mapping[str, str]
    layout: Sequence[str]

    @classmethod
    def of(cls, options: ImageTextOptions, table: Table) -> _Reader:
        """Look the columns up; refuses those that the table lacks."""
        names = label_names(options)
        given = {"prompt": options.prompt, "group": options.group, "split": options.split}
        wanted = {key: [name] for key, name in given.items() if name is not None}
        wanted |= {"answer": options.answers, "choices": _listed(options.choices)}
        wanted |= {"client": _listed(options.client), "labels": options.labels}
        every = {table.require(name, key) for key, columns in wanted.items() for name in columns}
        cells = {name: table.rows[name][:] for name in every}
        return cls(options, cells, names, _layout(options, table))

    def row(self, number: int, image: str) -> Row:
        """Read a row; :class:`Fault` if it can't be used."""
        options = self.options
        cells = {name: column[number] for name, column in self.cells.items()}
        choices = offered(cells, options.choices)
        return Row(
            number=number,
            image=image,
            prompt=options.prompt_text if options.prompt is None else text(cells[options.prompt], "prompt"),
            answers=right_answers(options, cells, choices),
            choices=tuple(dict.fromkeys(choice for choice in choices if choice)),
            labels=tuple(label(cells[column], name) for name, column in self.names.items()),
            group=label(cells[options.group], "group") if options.group is not None else "",
            split=self._split(cells, number),
        )

    def _split(self, cells: Mapping[str, Any], number: int) -> str:
        if self.options.split is None:
            return self.layout[number]
        cell = text(cells[self.options.split], "split")
        if cell.lower() not in SPELLINGS:
            raise Fault(f"split is none of {', '.join(SPLITS)}", f"it is {cell!r:.40}")
        return SPELLINGS[cell.lower()]


def _listed(names: str | Sequence[str] | None) -> list[str]:
    return [] if names is None else [names] if isinstance(names, str) else list(names)


def _layout(options: ImageTextOptions, table: Table) -> list[str]:
    """The split of each row that its table's name says, or else the folders in its image's name."""
    if not options.own_splits or options.split is not None:
        return [TRAIN] * len(table)
    splits = table.own_splits
    found = [splits[number] for number in table.file_of]
    if names_files(table, options.image):
        for row, name in enumerate(table.rows[options.image][:]):
            parts = PurePath(name or "").parts[:-1]
            named = [SPELLINGS[part.lower()] for part in parts if part.lower() in SPELLINGS]
            found[row] = named[-1] if named and found[row] == TRAIN else found[row]
    return found


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
