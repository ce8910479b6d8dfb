"""What a form of evaluation items is: which items it takes, what it asks a model, what metrics see of it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from fedbench.data.items import Item


@dataclass(frozen=True)
class Likelihoods:
    """Likelihoods of the choices of n items.

    >>> from fedbench import Likelihoods
    >>> both = Likelihoods(logp=[[-1.5, -0.5]], tokens=[4], hits=[3])
    >>> max(both.logp[0])
    -0.5
    """

    logp: list[list[float]]
    """By item and choice: log-likelihood in nats."""

    tokens: list[int]
    """By item: tokens of all its choices."""

    hits: list[int]
    """By item: how many of these tokens the LLM ranks first, given the true ones before them."""


class ModelAnswers(Protocol):
    """What a model says to the n items of a suite; a method is a pass over them, made when it is called.

    An item without choices is scored on its answer.

    >>> from fedbench import Item, Likelihoods
    >>> class Parrot:
    ...     items = (Item(0, "is it red?", "yes", group="a", choices=("yes", "no")),)
    ...     def likelihoods(self):
    ...         return Likelihoods(logp=[[-0.1, -2.4]], tokens=[2], hits=[1])
    ...     def blind_logp(self):
    ...         return [[-0.7, -0.7]]
    ...     def generated(self):
    ...         return ["yes"]
    >>> Parrot().generated()
    ['yes']
    """

    @property
    def items(self) -> Sequence[Item]:
        """The questions, in the suite's order."""
        ...

    def likelihoods(self) -> Likelihoods:
        """Score each item's choices after its image and prompt."""
        ...

    def blind_logp(self) -> list[list[float]]:
        """Score each item's choices without the image: log-likelihoods in nats, by item and choice."""
        ...

    def generated(self) -> list[str | None]:
        """Generate each item's answer greedily; None where it did not end within the limit, or is empty."""
        ...


class Form(Protocol):
    """What the factory of a ``FormSpec`` returns.

    >>> from fedbench import Item
    >>> class Graded:
    ...     def problem(self, item):
    ...         return "" if item.answer in item.choices else f"has the grade {item.answer!r}, none of them"
    ...     def columns(self, answers):
    ...         best = [logp.index(max(logp)) for logp in answers.likelihoods().logp]
    ...         return {"grade": best, "true": [item.choices.index(item.answer) for item in answers.items]}
    >>> Graded().problem(Item(0, "how severe?", "severe", group="a", choices=("none", "mild")))
    "has the grade 'severe', none of them"
    """

    def problem(self, item: Item) -> str:
        """Say what is wrong with an item, to follow "item 3 of test/x "; empty if nothing is."""
        ...

    def columns(self, answers: ModelAnswers) -> Mapping[str, Sequence[Any]]:
        """Make the columns of its ``FormSpec``, each with an entry for each of the items, in their order."""
        ...
