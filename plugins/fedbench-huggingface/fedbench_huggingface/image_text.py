"""The data set ``image-text``: a table of images and texts as alignment data."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

import numpy as np

from fedbench import AlignmentData, Item, Pair, Suite, UsageError, sha256_json
from fedbench_huggingface.benchmark_suites import with_benchmarks
from fedbench_huggingface.broken import Broken
from fedbench_huggingface.files import TEST, TRAIN, VALIDATION
from fedbench_huggingface.images import Column, Pictures
from fedbench_huggingface.options import ImageTextOptions, own_suites
from fedbench_huggingface.places import Places, placed_row
from fedbench_huggingface.questions import BUILD
from fedbench_huggingface.rows import Row, read_questions
from fedbench_huggingface.splits import divided
from fedbench_huggingface.tables import Table, read_table


def image_text(options: ImageTextOptions) -> AlignmentData:
    """Make the data. A unit is what no split parts, a group or else an image, as far as its labels agree."""
    table = read_table(options)
    table.require(options.image, "image")
    column, broken = Column.of(table, options.image), Broken(table, options.skip_broken)
    rows = read_questions(options, table, column, broken)
    shares = {TEST: options.shares.test, VALIDATION: options.shares.validation}
    placed = [placed_row(options, row) for row in rows]
    split, wholes, notes = divided(table, placed, shares, options.seed)
    members: dict[str, list[Row]] = {name: [] for name in (TRAIN, TEST, VALIDATION)}
    for row, name in zip(rows, split, strict=True):
        members[name].append(row)
    if not options.shares.validation and (unused := len(members.pop(VALIDATION))):
        notes.append(f"{unused} rows of its own split validation are left out, since their share is 0")
    if again := len(rows) - len({row.image for row in rows}):
        notes.append(f"{again} of {len(rows)} rows repeat an image; all its rows are in one split")
    places = Places(dict(zip((row.number for row in rows), wholes.tolist(), strict=True)))
    pairs = tuple(_pairs(options, members[TRAIN], places))
    asked = {suite.key: suite for suite in _suites(options, table, members, places)}
    own = AlignmentData(
        name=options.name,
        image_fingerprint=sha256_json([image for _, image in places.images]),
        images=Pictures(column, places.shown),
        units=np.array([unit for unit, _ in places.images]),
        pairs=pairs,
        suites=asked,
        labels=places.labels(options),
        notes=[*notes, *broken.notes],
        left_out=broken.left_out,
    )
    return with_benchmarks(own, options)


def _pairs(options: ImageTextOptions, rows: Sequence[Row], place: Places) -> Iterator[Pair]:
    for row in rows:
        for answer in dict.fromkeys(row.answers if options.train_on == "every" else row.answers[:1]):
            yield Pair(place(row), row.prompt, answer)


def _suites(
    options: ImageTextOptions, table: Table, members: Mapping[str, Sequence[Row]], place: Places
) -> Iterator[Suite]:
    held_out = [row for name, rows in members.items() if name != TRAIN for row in rows]
    for key, form in own_suites(options).items():
        split, _, name = key.partition("/")
        items: tuple[Item, ...] = tuple(BUILD[name](options, members[split], held_out, place))
        if not items:
            raise UsageError(
                f"data {table.data!r} has nothing to ask in {key!r}",
                where=table.place,
                why=_EMPTY[name],
                fix="name other data.options.suites, or raise data.options.shares",
            )
        yield Suite(split, name, form, items)  # type: ignore[arg-type]


_EMPTY = {
    "choice": "no other row with the same question, or label to choose within, has another answer",
    "yesno": "no answer is yes or no",
    "caption": "there is no row",
    "generate": "there is no row",
    "vqa": "there is no row",
}
"""Why a suite may have no items."""
