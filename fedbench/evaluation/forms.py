"""The forms that come with the package: a text's likelihood, a choice, yes or no, generated answers."""

from __future__ import annotations

from typing import Any

from fedbench.data.form import ModelAnswers
from fedbench.data.items import Item
from fedbench.evaluation.answer_scores import PEOPLE


class Caption:
    """The likelihood of an item's answer."""

    def problem(self, item: Item) -> str:
        """Say nothing: any item will do."""
        return ""

    def columns(self, answers: ModelAnswers) -> dict[str, list[Any]]:
        """Make ``logp`` in nats, ``tokens`` and ``hits`` of each answer."""
        likely = answers.likelihoods()
        return {
            "logp": [sum(scores) for scores in likely.logp],
            "tokens": likely.tokens,
            "hits": likely.hits,
        }


class Choice:
    """A choice by likelihood; the answer is one of the choices."""

    def problem(self, item: Item) -> str:
        """Say that the answer is none of the choices."""
        offered = ", ".join(map(repr, item.choices)) or "none"
        fault = f"has the answer {item.answer!r}, its choices are {offered}"
        return "" if item.answer in item.choices else fault

    def columns(self, answers: ModelAnswers) -> dict[str, list[Any]]:
        """Make ``scores`` and ``blind``, in nats for each choice, and the index ``answer``."""
        return {
            "scores": answers.likelihoods().logp,
            "blind": answers.blind_logp(),
            "answer": [item.choices.index(item.answer) for item in answers.items],
        }


class YesOrNo(Choice):
    """A choice between yes and no, in this order."""

    def problem(self, item: Item) -> str:
        """Say that there are not two choices, or that the answer is neither."""
        count = len(item.choices)
        fault = "" if count == 2 else f"has {count} choices, not yes and no"
        return super().problem(item) or fault


class Generated:
    """A greedily generated answer, compared with the right ones."""

    def problem(self, item: Item) -> str:
        """Say that the answer is none of the references."""
        right = ", ".join(map(repr, item.accepted))
        fault = f"has the answer {item.answer!r}, its references are {right}"
        return "" if item.answer in item.accepted else fault

    def columns(self, answers: ModelAnswers) -> dict[str, list[Any]]:
        """Make ``prediction``, ``references`` and ``parsed``."""
        generated = answers.generated()
        return {
            "prediction": [text or "" for text in generated],
            "references": [list(item.accepted) for item in answers.items],
            "parsed": [text is not None for text in generated],
        }


class ByPeople(Generated):
    """A generated answer, compared with those that several people gave to the question."""

    def problem(self, item: Item) -> str:
        """Say that there are fewer than four references, of which no answer could be wholly right."""
        count = len(item.references)
        fault = "" if count > PEOPLE else f"has {count} references, fewer than {PEOPLE + 1}"
        return super().problem(item) or fault
