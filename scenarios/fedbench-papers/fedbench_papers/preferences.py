"""Comparisons of two answers, from whatever data set, as the preference track's data."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from fedbench_huggingface.images import Column, Pictures

from fedbench import Item, Preference, PreferenceData, Suite, UsageError, sha256_json
from fedbench_papers.options import PreferenceOptions
from fedbench_papers.splits import HELD_OUT, TRAIN, deal


@dataclass(frozen=True, slots=True)
class Row:
    """A question about the image of a row, an answer and a worse one."""

    place: int
    """The row's number in the table."""
    label: str
    """The subtask or domain."""
    prompt: str
    """The question about its image."""
    chosen: str
    """The better answer."""
    rejected: str
    """The worse answer."""

    @property
    def fault(self) -> str | None:
        """Why there is nothing to learn from it; None if there is."""
        if not self.prompt.strip():
            return "has no question"
        if not (self.chosen.strip() and self.rejected.strip()):
            return "has an empty answer"
        return "prefers an answer to itself" if self.chosen.strip() == self.rejected.strip() else None


def sound(options: PreferenceOptions, rows: Iterator[Row], notes: list[str]) -> list[Row]:
    """Keep the rows with two different answers; others are refused, or on demand skipped and counted in
    ``notes``."""
    kept, skipped = [], list[int]()
    for row in rows:
        if row.fault is None:
            kept.append(row)
            continue
        skipped.append(row.place)
        if not options.skip_broken:
            raise UsageError(
                f"row {row.place} of data {options.name!r} {row.fault}",
                where=options.path,
                why=f"chosen is {row.chosen[:40]!r}, rejected is {row.rejected[:40]!r}",
                fix="take the row out, or set data.options.skip_broken=true",
            )
    if skipped:
        notes.append(f"{len(skipped)} broken rows are left out (skip_broken), such as row {skipped[0]}")
    return kept


def assemble(
    options: PreferenceOptions, rows: Sequence[Row], column: Column, label: str, notes: list[str]
) -> PreferenceData:
    """Make the data: preferences, the server's queries and comparisons, and suites of split ``test``.

    A unit is an image as one label asks about it, so that a label can be a client. ``notes`` say what was
    left out; rows that find no place here are added.
    """
    hashes = {row.place: column.sha256(row.place) for row in rows}
    images: dict[str, list[str]] = defaultdict(list)
    for row in rows:
        images[row.label].append(hashes[row.place])
    shares = {"test": options.test, "queries": options.queries, "comparisons": options.comparisons}
    split = deal(options, images, options.clients, options.held_out, shares)
    members: dict[str, list[Row]] = defaultdict(list)
    homeless: list[Row] = []
    for row in rows:
        part = split.get(hashes[row.place])
        if part and (part == HELD_OUT) == (row.label in options.held_out):
            members[part].append(row)
        elif part:
            homeless.append(row)
    if homeless:
        notes.append(
            f"{len(homeless)} rows are left out, such as row {homeless[0].place}: their image is a client's"
            " and their label held out, or the other way round"
        )
    places: dict[tuple[str, str], int] = {}
    shown: list[int] = []

    def image(row: Row) -> int:
        key = (hashes[row.place], row.label)
        if key not in places:
            places[key] = len(places)
            shown.append(row.place)
        return places[key]

    def preferences(name: str) -> tuple[Preference, ...]:
        return tuple(Preference(image(row), row.prompt, row.chosen, row.rejected) for row in members[name])

    def item(row: Row) -> Item:
        return Item(image(row), row.prompt, row.chosen, hashes[row.place][:16])

    pairs, comparisons = preferences(TRAIN), preferences("comparisons")
    queries = {(query.image, query.prompt): query for query in map(item, members["queries"])}
    asked = [(row.label, name == HELD_OUT, item(row)) for name in ("test", HELD_OUT) for row in members[name]]
    return PreferenceData(
        name=options.name,
        image_fingerprint=sha256_json([image for image, _ in places]),
        images=Pictures(column, shown),
        units=np.arange(len(places)),
        pairs=pairs,
        suites={suite.key: suite for suite in _suites(asked)},
        labels={label: [name for _, name in places]},
        queries=tuple(queries.values()),
        comparisons=comparisons,
        notes=notes,
    )


def _suites(asked: Sequence[tuple[str, bool, Item]]) -> Iterator[Suite]:
    """Make suites of the clients' own labels, of the held-out ones, of both together, and of each label."""
    named: dict[str, list[Item]] = defaultdict(list)
    for label, held_out, item in asked:
        for name in ("held-out" if held_out else "own", "overall", label.replace("/", "-")):
            named[name].append(item)
    return (Suite("test", name, "generate", tuple(items)) for name, items in named.items())
