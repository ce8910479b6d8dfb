"""Text-only stand-ins for images: what a pretraining sample's four prefix slots are made of.

A slot is a weighted mean of word embeddings. The recipes imitate what a trained projector emits
for a drawing it has never seen: words of the concept, words of its siblings, a stray word, noise.
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass

from fedbench_emoji.texts import (
    Concept,
    Taxonomy,
    TextView,
    category_view,
    keywords_view,
    kind_view,
    name_view,
    yesno_view,
)

SLOTS = 4
TASKS = {"name": 0.30, "keywords": 0.12, "category": 0.10, "kind": 0.20, "yesno": 0.28}
INVENTED = 0.2  # share of samples about made-up concepts, whose names can only be copied

Slot = list[tuple[str, float]]  # (phrase, weight); empty: noise only


@dataclass(frozen=True)
class Sample:
    """A question, its answer, and the words in each prefix slot."""

    view: TextView
    """The question and its answer."""
    slots: tuple[Slot, ...]
    """The words in each of the four prefix slots."""
    noise: float
    """Standard deviation of the noise, in units of the embedding rms."""
    scale: float
    """Factor of the whole prefix."""


class Recipe:
    """Draws samples about the concepts of one taxonomy."""

    def __init__(self, taxonomy: Taxonomy) -> None:
        self.taxonomy = taxonomy
        self.words = sorted({w for c in taxonomy.concepts for w in c.name.split()})

    def sample(self, rng: random.Random) -> Sample:
        """Draw a sample; one in five is about an invented concept."""
        invented = rng.random() < INVENTED
        concept = self.invent(rng) if invented else rng.choice(self.taxonomy.concepts)
        view = self.question(concept, rng)
        slots = self.slots(concept, view, rng, complete=invented)
        return Sample(view, slots, rng.uniform(0.0, 1.0), 2.0 ** rng.uniform(-1.0, 2.5))

    def invent(self, rng: random.Random) -> Concept:
        """Invent a concept: a real name with words swapped, or one to three random words."""
        base = rng.choice(self.taxonomy.concepts)
        words = base.name.split()
        if len(words) > 1 and rng.random() < 0.5:
            words[rng.randrange(len(words))] = rng.choice(self.words)
        else:
            words = rng.sample(self.words, rng.randint(1, 3))
        return Concept("", " ".join(words), base.keywords, base.category, base.kind)

    def question(self, concept: Concept, rng: random.Random) -> TextView:
        """Draw a question about a concept, in the proportions of :data:`TASKS`."""
        (task,) = rng.choices(list(TASKS), list(TASKS.values()))
        if task == "keywords" and (view := keywords_view(concept, rng)):
            return view
        if task == "category":
            return category_view(concept)
        if task == "kind":
            return kind_view(concept)
        if task == "yesno":
            return yesno_view(concept, self.taxonomy, rng, truth=rng.random() < 0.5)
        return name_view(concept)

    def slots(self, concept: Concept, view: TextView, rng: random.Random, complete: bool) -> tuple[Slot, ...]:
        """Fill four slots; ``complete`` puts name, kind and category in, where nothing else implies them."""
        labels = [concept.kind, concept.category]
        own = [concept.name, concept.name, *concept.keywords]
        recipe = rng.random()
        if complete or recipe < 0.35:
            own += labels * 2
        elif recipe < 0.50 and concept.keywords:
            own = list(concept.keywords)  # no name: it has to be inferred
        slots = [self.slot(own, rng) for _ in range(SLOTS)]
        if complete:
            for phrase in (concept.name, concept.name, *labels):
                rng.choice(slots).append((phrase, 1.0))
        elif recipe > 0.60:
            self.blend(slots, concept, view, rng)
        if rng.random() < 0.25:
            stray = rng.choice(self.taxonomy.concepts)
            slots[rng.randrange(SLOTS)] = self.slot([stray.name, *stray.keywords], rng)
        if not complete and rng.random() < 0.20:
            for i in rng.sample(range(SLOTS), rng.randint(1, 2)):
                slots[i] = []
        return tuple(slots)

    def slot(self, phrases: Sequence[str], rng: random.Random) -> Slot:
        """Draw one to three weighted phrases."""
        return [(rng.choice(phrases), rng.uniform(0.3, 1.0)) for _ in range(rng.randint(1, 3))]

    def blend(self, slots: list[Slot], concept: Concept, view: TextView, rng: random.Random) -> None:
        """Mix siblings in; kind and category stay true even where siblings replace the concept."""
        siblings = self.taxonomy.by_kind[concept.kind]
        about_kind = view.answer in (concept.kind, concept.category)
        for slot in slots:
            if about_kind and rng.random() < 0.5:
                slot.clear()
            for _ in range(rng.randint(1, 2)):
                other = rng.choice(siblings)
                phrase = rng.choice([other.name, *other.keywords])
                slot.append((phrase, rng.uniform(0.1, 1.0 if about_kind else 0.5)))
