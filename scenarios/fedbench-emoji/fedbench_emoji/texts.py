"""Questions about a concept and their right answers: pure functions, no torch.

Both the language model's pretraining and the federated data speak these forms and no others.
A question-answer pair is laid out as ``[prefix][prompt][" " + answer][<eos>]``.
"""

from __future__ import annotations

import random
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Literal

Task = Literal["name", "keywords", "category", "kind", "yesno"]
Level = Literal["name", "kind", "category"]

NAME = "what is this?"
KEYWORDS = "which words describe it?"
CATEGORY = "which category?"
KIND = "what kind?"
YESNO = "is it {}?"

MAX_KEYWORDS = 4


def clean(text: str) -> str:
    """Lower the case, straighten apostrophes, and leave single spaces."""
    return " ".join(text.lower().replace("’", "'").split())


@dataclass(frozen=True)
class Concept:
    """An emoji: its code points and what CLDR says about it."""

    id: str
    """The code points, in hexadecimal."""
    name: str
    """The English name, lower case."""
    keywords: tuple[str, ...]
    """Words that describe it, other than the name."""
    category: str
    """One of eight Unicode groups."""
    kind: str
    """One of 95 Unicode subgroups, in plain words."""

    @classmethod
    def of_row(cls, row: Mapping[str, Any]) -> Concept:
        """Make a concept from a row of ``emoji.parquet``."""
        return cls(
            id=row["concept"],
            name=clean(row["name"]),
            keywords=tuple(dict.fromkeys(map(clean, row["keywords"]))),
            category=clean(row["category"]),
            kind=clean(row["kind"]),
        )

    def label(self, level: Level) -> str:
        """Look up the concept's name, kind or category."""
        return {"name": self.name, "kind": self.kind, "category": self.category}[level]


@dataclass(frozen=True)
class TextView:
    """A question about a concept and its answer, both plain text."""

    task: Task
    """What is asked."""
    prompt: str
    """The question."""
    answer: str
    """The right answer."""


@dataclass(frozen=True)
class Taxonomy:
    """The concepts that may serve as wrong answers, by kind and by category.

    Pass concepts of one split only, so that a "no" never names a concept of another split.
    """

    concepts: tuple[Concept, ...]
    """The concepts, of one split."""

    @cached_property
    def by_kind(self) -> dict[str, tuple[Concept, ...]]:
        """The concepts of each kind."""
        return _group(self.concepts, "kind")

    @cached_property
    def by_category(self) -> dict[str, tuple[Concept, ...]]:
        """The concepts of each category."""
        return _group(self.concepts, "category")

    @cached_property
    def kinds(self) -> tuple[str, ...]:
        """The kinds, in alphabetical order."""
        return tuple(sorted(self.by_kind))

    @cached_property
    def categories(self) -> tuple[str, ...]:
        """The categories, in alphabetical order."""
        return tuple(sorted(self.by_category))

    def siblings(self, concept: Concept) -> tuple[Concept, ...]:
        """List other concepts of the same kind; of the same category if the kind has no other."""
        near = [c for c in self.by_kind.get(concept.kind, ()) if c.name != concept.name]
        if not near:
            near = [c for c in self.by_category.get(concept.category, ()) if c.name != concept.name]
        return tuple(near)


def name_view(concept: Concept) -> TextView:
    """Ask for the name."""
    return TextView("name", NAME, concept.name)


def keywords_view(concept: Concept, rng: random.Random) -> TextView | None:
    """Ask for keywords: up to four in random order; None for a concept that has none."""
    if not concept.keywords:
        return None
    words = rng.sample(concept.keywords, min(MAX_KEYWORDS, len(concept.keywords)))
    return TextView("keywords", KEYWORDS, ", ".join(words))


def category_view(concept: Concept) -> TextView:
    """Ask for the category."""
    return TextView("category", CATEGORY, concept.category)


def kind_view(concept: Concept) -> TextView:
    """Ask for the kind."""
    return TextView("kind", KIND, concept.kind)


def yesno_view(
    concept: Concept, others: Taxonomy, rng: random.Random, truth: bool, level: Level | None = None
) -> TextView:
    """Ask whether it is a name, kind or category; a wrong name is a sibling's, of the same kind.

    ``truth`` decides for yes; ``level`` defaults to a random one. Raises ValueError where ``others`` holds no
    wrong answer.
    """
    level = level or rng.choice(("name", "kind", "category"))
    if truth:
        return TextView("yesno", YESNO.format(concept.label(level)), "yes")
    wrong: Sequence[str]
    if level == "name":
        wrong = [c.name for c in others.siblings(concept)]
    else:
        labels = others.kinds if level == "kind" else others.categories
        wrong = [label for label in labels if label != concept.label(level)]
    if not wrong:
        raise ValueError(f"{concept.name}: no wrong {level} to ask about; pass more concepts")
    return TextView("yesno", YESNO.format(rng.choice(wrong)), "no")


def all_views(concept: Concept, others: Taxonomy, rng: random.Random, yesno: int = 1) -> list[TextView]:
    """Ask for name, keywords, category and kind, then ``yesno`` balanced yes/no questions.

    An even ``yesno`` gives equally many of both; for an odd one a coin decides the last.
    """
    views = [name_view(concept), keywords_view(concept, rng)]
    views += [category_view(concept), kind_view(concept)]
    first = rng.random() < 0.5
    views += [yesno_view(concept, others, rng, first ^ bool(i % 2)) for i in range(yesno)]
    return [view for view in views if view is not None]


def _group(concepts: Iterable[Concept], field: Literal["kind", "category"]):
    groups: dict[str, list[Concept]] = {}
    for concept in concepts:
        groups.setdefault(concept.label(field), []).append(concept)
    return {label: tuple(members) for label, members in groups.items()}
