"""Preference data: the clients' preferences, the server's queries, the test items.

A unit is a picture as one task asks about it, so that a task can be a client; its label ``task`` says which.
"""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np
from PIL import Image

from fedbench import (
    Item,
    Preference,
    PreferenceData,
    StoredImages,
    Suite,
    UsageError,
    derive,
    sha256_json,
    suggest,
)
from fedbench_preferences.digits import digits
from fedbench_preferences.drawings import drawings
from fedbench_preferences.hooks import PreferenceOptions
from fedbench_preferences.questions import Pool, Question, Source, balanced
from fedbench_preferences.shapes import shapes

Tasks = Mapping[str, tuple[str, ...]]
"""The tasks of a source by the label that they count as."""


def emoji(options: PreferenceOptions) -> PreferenceData:
    """Make the data of three clients with preferences on a drawing's artist, category and kind.

    Yes-or-no questions are held out: no client has preferences on them.
    """
    client = {"artist": ("artist",), "category": ("category",), "kind": ("kind",)}
    held_out = {"verification": ("yesno-category", "yesno-kind")}
    return _made(
        "prefs-emoji", {"drawings": drawings()}, {"drawings": client}, {"drawings": held_out}, options
    )


def easyvqa(options: PreferenceOptions) -> PreferenceData:
    """Make the data of three clients with preferences on colours, shapes, and yes or no on colours.

    Yes or no on shapes is held out: no client has preferences on it.
    """
    client = {"color": ("color",), "shape": ("shape",), "yes-no": ("yesno-color",)}
    held_out = {"shape-yes-no": ("yesno-shape",)}
    return _made("prefs-easyvqa", {"shapes": shapes()}, {"shapes": client}, {"shapes": held_out}, options)


def domains(options: PreferenceOptions) -> PreferenceData:
    """Make the data of three clients with a domain's pictures each; one task of each domain is held out."""
    sources = {"drawings": drawings(), "shapes": shapes(), "digits": digits()}
    client = {
        "drawings": {"drawings": ("kind",)},
        "shapes": {"shapes": ("color", "shape")},
        "digits": {"digits": ("digit",)},
    }
    held_out = {
        "drawings": {"drawings-category": ("category",)},
        "shapes": {"shapes-yes-no": ("yesno-color",)},
        "digits": {"digits-yes-no": ("yesno-digit",)},
    }
    return _made("prefs-domains", sources, client, held_out, options)


@dataclass
class _Units:
    """Units: pictures as a task asks about them, numbered in the order they are first used."""

    sources: Mapping[str, Source]
    places: dict[tuple[str, int, str], int] = field(default_factory=dict)

    def place(self, source: str, picture: int, label: str) -> int:
        return self.places.setdefault((source, picture, label), len(self.places))


@dataclass(frozen=True)
class _Pictures(StoredImages):
    """The pictures of the units, as images."""

    sources: Mapping[str, Source]
    places: Sequence[tuple[str, int, str]]

    def __len__(self) -> int:
        return len(self.places)

    def stored(self, number: int) -> bytes:
        source, picture, _ = self.places[number]
        images = self.sources[source].images
        return images.stored(picture) if isinstance(images, StoredImages) else images[picture].tobytes()

    def recipe(self, number: int) -> tuple[str, int, str]:
        return self.places[number]

    def __getitem__(self, i: int) -> Image.Image:  # type: ignore[override]
        source, picture, _ = self.places[i]
        return self.sources[source].images[picture]


def _made(
    name: str,
    sources: Mapping[str, Source],
    clients: Mapping[str, Tasks],
    held_out: Mapping[str, Tasks],
    options: PreferenceOptions,
) -> PreferenceData:
    labels = [label for tasks in clients.values() for label in tasks]
    for label in options.sizes:
        if label not in labels:
            raise UsageError(f"data {name!r}: no client {label!r} to give a size", fix=suggest(label, labels))
    units = _Units(sources)
    draw = _Draw(name, sources, options.seed, units)
    pairs: list[Preference] = []
    comparisons: list[Preference] = []
    queries: list[Item] = []
    own: list[Item] = []
    for source, tasks in clients.items():
        for label, asked in tasks.items():
            count = options.sizes.get(label, options.pairs)
            pairs += draw.preferences(source, label, asked, "clients", count)
            comparisons += draw.preferences(source, label, asked, "comparisons", options.comparisons)
            queries += draw.items(source, label, asked, "queries", options.queries)
            own += draw.items(source, label, asked, "test", options.items)
    each = options.held_out // sum(map(len, held_out.values())) // 2 * 2
    others = [
        item
        for source, tasks in held_out.items()
        for label, asked in tasks.items()
        for item in draw.items(source, label, asked, "test", each)
    ]
    suites = [
        Suite("test", suite, "generate", tuple(items))
        for suite, items in (("own", own), ("held-out", others), ("overall", own + others))
    ]
    places = list(units.places)
    return PreferenceData(
        name=name,
        image_fingerprint=sha256_json([sources[source].digests[picture] for source, picture, _ in places]),
        images=_Pictures(sources, places),
        units=np.arange(len(places)),
        pairs=tuple(pairs),
        suites={suite.key: suite for suite in suites},
        labels={"task": [label for _, _, label in places]},
        queries=tuple(queries),
        comparisons=tuple(comparisons),
    )


@dataclass(frozen=True)
class _Draw:
    """Fair samples of a label's questions about one pool's pictures."""

    name: str
    sources: Mapping[str, Source]
    seed: int
    units: _Units

    def items(self, source: str, label: str, tasks: Sequence[str], pool: Pool, count: int) -> Iterator[Item]:
        for question in self._questions(source, label, tasks, pool, count):
            place = self.units.place(source, question.picture, label)
            yield Item(place, question.prompt, question.answer, question.group)

    def preferences(
        self, source: str, label: str, tasks: Sequence[str], pool: Pool, count: int
    ) -> Iterator[Preference]:
        for question in self._questions(source, label, tasks, pool, count, apart=True):
            place = self.units.place(source, question.picture, label)
            yield Preference(place, question.prompt, question.answer, *question.wrong)

    def _questions(
        self,
        source: str,
        label: str,
        tasks: Sequence[str],
        pool: Pool,
        count: int,
        apart: bool = False,
    ) -> Iterator[Question]:
        """Draw balanced questions; ``apart`` makes one of each wrong answer."""
        rng = random.Random(derive(self.seed, self.name, label, pool))
        origin, used = self.sources[source], Counter[int]()
        for task, share in zip(tasks, _shares(count, len(tasks)), strict=True):
            asked = [q for q in origin.ask[task]() if origin.pools[q.picture] == pool]
            if apart:
                asked = [replace(q, wrong=(wrong,)) for q in asked for wrong in q.wrong]
            chosen = balanced(asked, share, used, rng)
            if len(chosen) < share:
                raise UsageError(
                    f"data {self.name!r}: {share} questions of task {task!r} can't be balanced for {pool}",
                    why=f"there are {len(chosen)}",
                    fix="ask for fewer",
                )
            yield from chosen


def _shares(count: int, parts: int) -> list[int]:
    """Divide ``count`` into even numbers that differ by at most two."""
    return [count // 2 // parts * 2 + 2 * (i < count // 2 % parts) for i in range(parts)]
