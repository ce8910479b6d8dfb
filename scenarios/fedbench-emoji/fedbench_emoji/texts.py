"""What can be asked about a concept, and the right answer: pure functions, no torch.

Both the language model's pretraining and the federated data speak these forms and no others.
A question-answer pair is laid out as ``[prefix][prompt][" " + answer][<eos>]``.
"""

from __future__ import annotations

import random
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Literal

Task = Literal["name", "keywords", "category", "kind", "yesno"]
Level = Literal["name", "kind", "category"]

NAME = "what is this?"
KEYWORDS = "which words describe it?"
CATEGORY = "which category?"
KIND = "what kind?"
YESNO = "is it {}?"

MAX_KEYWORDS = 4


def clean(text: str) -> str:
    """Lower case, straight apostrophes, single spaces."""
    return " ".join(text.lower().replace("’", "'").split())


@dataclass(frozen=True)
class Concept:
    """One emoji: its code points and what CLDR says about it."""

    id: str
    name: str
    keywords: tuple[str, ...]
    category: str
    kind: str

    @classmethod
    def create(cls, id: str, name: str, keywords: Iterable[str], category: str, kind: str) -> Concept:
        """A concept from the raw columns of ``emoji.parquet``."""
        words = tuple(dict.fromkeys(clean(k) for k in keywords))
        return cls(id, clean(name), words, clean(category), clean(kind))

    def label(self, level: Level) -> str:
        return {"name": self.name, "kind": self.kind, "category": self.category}[level]


@dataclass(frozen=True)
class TextView:
    """One question about a concept and its answer, both plain text."""

    task: Task
    prompt: str
    answer: str


@dataclass(frozen=True)
class Taxonomy:
    """The concepts that may serve as wrong answers, by kind and by category.

    Pass concepts of one split only, so that a "no" never names a concept of another split.
    """

    concepts: tuple[Concept, ...]

    @cached_property
    def by_kind(self) -> dict[str, tuple[Concept, ...]]:
        return _group(self.concepts, "kind")

    @cached_property
    def by_category(self) -> dict[str, tuple[Concept, ...]]:
        return _group(self.concepts, "category")

    @cached_property
    def kinds(self) -> tuple[str, ...]:
        return tuple(sorted(self.by_kind))

    @cached_property
    def categories(self) -> tuple[str, ...]:
        return tuple(sorted(self.by_category))

    def siblings(self, concept: Concept) -> tuple[Concept, ...]:
        """Other concepts of the same kind; of the same category where a kind stands alone."""
        near = [c for c in self.by_kind.get(concept.kind, ()) if c.name != concept.name]
        if not near:
            near = [c for c in self.by_category.get(concept.category, ()) if c.name != concept.name]
        return tuple(near)


def name_view(concept: Concept) -> TextView:
    return TextView("name", NAME, concept.name)


def keywords_view(concept: Concept, rng: random.Random) -> TextView | None:
    """Up to four keywords in random order; None for a concept that has none."""
    if not concept.keywords:
        return None
    words = rng.sample(concept.keywords, min(MAX_KEYWORDS, len(concept.keywords)))
    return TextView("keywords", KEYWORDS, ", ".join(words))


def category_view(concept: Concept) -> TextView:
    return TextView("category", CATEGORY, concept.category)


def kind_view(concept: Concept) -> TextView:
    return TextView("kind", KIND, concept.kind)


def yesno_view(
    concept: Concept, others: Taxonomy, rng: random.Random, truth: bool, level: Level | None = None
) -> TextView:
    """Is it <name | kind | category>? A wrong name is a sibling's, of the same kind.

    ``level`` defaults to a random one. Raises ValueError where ``others`` holds no wrong answer.
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
    """Name, keywords, category, kind, and ``yesno`` balanced yes/no questions, in that order.

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
