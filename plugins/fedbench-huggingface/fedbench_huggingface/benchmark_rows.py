"""The questions of a public benchmark, read from its published columns."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from fedbench import UsageError
from fedbench_huggingface.benchmark import Benchmark
from fedbench_huggingface.broken import Broken
from fedbench_huggingface.cells import Fault, absent, label, text
from fedbench_huggingface.images import Column
from fedbench_huggingface.rows import offered, right_answers
from fedbench_huggingface.table_rows import image_hash
from fedbench_huggingface.tables import Table

YES_NO = ("yes", "no")
LETTERED = re.compile(r"\(([a-z])\)\s*(.*?)\s*(?=\([a-z]\)|$)", re.DOTALL)
"""Choices in one text: ``(a) Open (b) Closed``."""


@dataclass(frozen=True, slots=True)
class Question:
    """A question of a benchmark."""

    number: int
    """The row's number in the table."""
    image: str
    """The hash of its image's bytes."""
    prompt: str
    """The question, with what belongs to it."""
    answers: tuple[str, ...]
    """The right answers, the commonest first, each as often as it was given."""
    choices: tuple[str, ...]
    """The answers offered; empty where none are."""
    group: str
    """What makes questions dependent."""
    part: str
    """The value by which there are suites; empty where there are none."""


def read_questions(
    benchmark: Benchmark, table: Table, column: Column, broken: Broken, *, opened: bool
) -> list[Question]:
    """Read the rows that are asked; ``broken`` refuses or notes those that can't be used.

    ``opened``: whether images are opened, and not only hashed. Raises :class:`UsageError` if none is left.
    """
    cells = {name: table.rows[table.require(name)][:] for name in _columns(benchmark)}
    questions = []
    for number in range(len(table)):
        row = {name: _cell(benchmark, values[number]) for name, values in cells.items()}
        if any(str(row[name]) != value for name, value in benchmark.only.items()):
            continue
        try:
            image = image_hash(column, number, opened=opened)
            questions.append(_question(benchmark, row, number, image))
        except Fault as fault:
            broken.found(number, *fault.args)
    if not questions:
        wanted = ", ".join(f"{name} = {value}" for name, value in benchmark.only.items())
        why = f"no row has {wanted}" if wanted else "none of its rows can be used"
        raise UsageError(f"benchmark {benchmark.title} has no question", where=table.place, why=why)
    return questions


def _columns(benchmark: Benchmark) -> Iterator[str]:
    choices = benchmark.choices
    yield from [*benchmark.prompt, benchmark.answer, *benchmark.only]
    yield from [] if choices is None else [choices] if isinstance(choices, str) else choices
    yield from filter(None, (benchmark.group, benchmark.part))


def _cell(benchmark: Benchmark, cell: Any) -> Any:
    return None if isinstance(cell, str) and cell.strip() in benchmark.absent else cell


def _question(benchmark: Benchmark, row: Mapping[str, Any], number: int, image: str) -> Question:
    if absent(row[benchmark.prompt[-1]]):
        raise Fault("no question")
    lines = [text(row[name], name) for name in benchmark.prompt if not absent(row[name])]
    choices = _choices(benchmark, row)
    answers = right_answers(benchmark, row, choices)
    if benchmark.form == "yesno":
        answers, choices = tuple(answer.lower() for answer in answers), YES_NO
        if answers[0] not in choices:
            raise Fault("answer neither yes nor no", f"it is {answers[0]!r}")
    group = str(number // benchmark.together) if benchmark.together > 1 else image[:16]
    return Question(
        number=number,
        image=image,
        prompt="\n".join((*lines, benchmark.instruction) if benchmark.instruction else lines),
        answers=answers,
        choices=tuple(dict.fromkeys(choice for choice in choices if choice)),
        group=group if benchmark.group is None else label(row[benchmark.group], "group"),
        part="" if benchmark.part is None else label(row[benchmark.part], "part"),
    )


def _choices(benchmark: Benchmark, row: Mapping[str, Any]) -> Sequence[str]:
    if isinstance(benchmark.choices, str) and isinstance(row[benchmark.choices], str):
        return [choice for _, choice in LETTERED.findall(row[benchmark.choices])]
    return offered(row, benchmark.choices)
