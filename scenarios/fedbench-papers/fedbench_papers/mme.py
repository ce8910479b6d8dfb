"""MME-RealWorld (arXiv 2408.13257) as preferences: the right option is preferred to a wrong one.

Columns: ``index``, ``bytes`` (an image in base64), ``question``, ``multi-choice options`` ("(A) …"),
``answer`` (a letter), ``l2-category`` (the subtask).
"""

from __future__ import annotations

import random
import re
from collections.abc import Iterator
from typing import Any

from fedbench_huggingface.images import Column, from_base64

from fedbench import PreferenceData, UsageError, derive, suggest
from fedbench_papers.options import MMERealWorld
from fedbench_papers.preferences import Row, assemble, sound
from fedbench_papers.tables import read

INDEX = "index"
IMAGE = "bytes"
QUESTION = "question"
OPTIONS = "multi-choice options"
ANSWER = "answer"
SUBTASK = "l2-category"


def mme_realworld(options: MMERealWorld) -> PreferenceData:
    """Make the data; answers are letters, as in the benchmark."""
    table, notes = read(options, (INDEX, IMAGE, QUESTION, OPTIONS, ANSWER, SUBTASK))
    compared = sound(options, _rows(options, table.rows), notes)
    column = Column(table, table.rows[IMAGE], from_base64)
    return assemble(options, compared, column, "subtask", notes)


def _rows(options: MMERealWorld, rows: Any) -> Iterator[Row]:
    wanted = {*options.clients, *options.held_out}
    subtasks = list(rows[SUBTASK])
    for unknown in sorted(wanted - set(subtasks)):
        raise UsageError(f"data {options.name!r} has no subtask {unknown!r}", fix=suggest(unknown, subtasks))
    texts = rows.remove_columns([IMAGE])
    for place, subtask in enumerate(subtasks):
        if subtask in wanted:
            yield _row(options, place, texts[place])


def _row(options: MMERealWorld, place: int, row: Any) -> Row:
    offered = [option.strip() for option in row[OPTIONS] or ()]
    letters = tuple(match[1] for option in offered if (match := re.match(r"\(?([A-Z])\)", option)))
    answer = (row[ANSWER] or "").strip()
    wrong = [letter for letter in letters if letter != answer]
    if answer and (answer not in letters or not wrong):
        raise UsageError(
            f"row {place} of data {options.name!r} can't be compared",
            where=options.path,
            why=f"its answer is {answer!r}, its options are {', '.join(letters) or 'none'}",
            fix="take the row out",
        )
    lines = ((row[QUESTION] or "").strip(), *offered, "Answer with the letter of the right option.")
    prompt = "\n".join(lines)
    drawn = random.Random(derive(options.seed, "wrong", str(row[INDEX]))).choice(wrong) if wrong else ""
    return Row(place, row[SUBTASK], prompt, answer, drawn)
