"""The data set ``preferences``: a table of images, questions and two answers each as preference data."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from fedbench import Item, Preference, PreferenceData, Suite, sha256_json
from fedbench_huggingface.broken import Broken
from fedbench_huggingface.cells import Fault, text
from fedbench_huggingface.files import TEST, TRAIN, VALIDATION
from fedbench_huggingface.images import Column, Pictures
from fedbench_huggingface.places import Places, placed_row
from fedbench_huggingface.preference_options import SUITE, PreferencesOptions, preference_suites
from fedbench_huggingface.splits import divided
from fedbench_huggingface.table_rows import Cells, TableRow, read_rows
from fedbench_huggingface.tables import Table, read_table

QUERIES = "queries"


@dataclass(frozen=True, slots=True, kw_only=True)
class Comparison(TableRow):
    """A question about an image with a preferred and another answer."""

    prompt: str
    """The question."""
    chosen: str
    """The preferred answer."""
    rejected: str
    """The other one."""


def preferences(options: PreferencesOptions) -> PreferenceData:
    """Make the data. A unit is what no split parts, a group or else an image, as far as its labels agree.

    Nobody knows the true reward of such data: the right answers to a question are those that its rows prefer.
    """
    table = read_table(options)
    table.require(options.image, "image")
    column, broken = Column.of(table, options.image), Broken(table, options.skip_broken)
    rows = _comparisons(options, table, column, broken)
    shares = {
        QUERIES: options.shares.queries,
        VALIDATION: options.shares.comparisons,
        TEST: options.shares.test,
    }
    split, wholes, notes = divided(table, [placed_row(options, row) for row in rows], shares, options.seed)
    members: dict[str, list[Comparison]] = {name: [] for name in (TRAIN, *shares)}
    for row, name in zip(rows, split, strict=True):
        members[name].append(row)
    places = Places(dict(zip((row.number for row in rows), wholes.tolist(), strict=True)))
    pairs, public = _preferences(members[TRAIN], places), _preferences(members[VALIDATION], places)
    queries = tuple(_questions(members[QUERIES], places))
    test, _, name = SUITE.partition("/")
    suite = Suite(test, name, preference_suites(options)[SUITE], tuple(_questions(members[TEST], places)))
    return PreferenceData(
        name=options.name,
        image_fingerprint=sha256_json([image for _, image in places.images]),
        images=Pictures(column, places.shown),
        units=np.array([unit for unit, _ in places.images]),
        pairs=pairs,
        suites={suite.key: suite},
        labels=places.labels(options),
        queries=queries,
        comparisons=public,
        notes=[*notes, *broken.notes],
        left_out=broken.left_out,
    )


def _comparisons(
    options: PreferencesOptions, table: Table, column: Column, broken: Broken
) -> list[Comparison]:
    named = {"prompt": [options.prompt], "chosen": [options.chosen], "rejected": [options.rejected]}
    every = Cells.of(options, table, named)

    def read(number: int, image: str) -> Comparison:
        cells = every[number]
        prompt = text(cells[options.prompt], "prompt")
        chosen = text(cells[options.chosen], "chosen answer")
        rejected = text(cells[options.rejected], "rejected answer")
        if chosen == rejected:
            raise Fault("a tie", f"chosen and rejected are {chosen!r:.40}")
        return Comparison(prompt=prompt, chosen=chosen, rejected=rejected, **every.common(number, image))

    return read_rows(table, column, broken, read)


def _preferences(rows: Sequence[Comparison], place: Places) -> tuple[Preference, ...]:
    return tuple(Preference(place(row), row.prompt, row.chosen, row.rejected) for row in rows)


def _questions(rows: Sequence[Comparison], place: Places) -> Iterator[Item]:
    """Each question once, with all answers to it that are preferred."""
    asked: dict[tuple[int, str], list[Comparison]] = {}
    for row in rows:
        asked.setdefault((place(row), row.prompt), []).append(row)
    for (image, prompt), alike in asked.items():
        answers = tuple(row.chosen for row in alike)
        yield Item(
            image=image,
            prompt=prompt,
            answer=answers[0],
            group=alike[0].dependent,
            references=answers if len(answers) > 1 else (),
        )
