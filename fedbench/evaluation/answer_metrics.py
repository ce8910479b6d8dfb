"""Metrics of generated answers that need not be equal to a reference; an answer that never ended scores 0."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

from fedbench.evaluation.answer_scores import anls, relaxed_accuracy, token_f1, vqa_accuracy
from fedbench.evaluation.estimates import mean
from fedbench.evaluation.metrics import ANSWERS, OfflineMetric


class AnswerMetric(OfflineMetric):
    """The mean of a score from 0 to 1 of each answer.

    Rows: ``prediction``, ``references``, and whether the answer ended (``parsed``)."""

    columns: ClassVar[Mapping[str, Any]] = ANSWERS
    value: ClassVar[str]
    """The measure's name."""

    @staticmethod
    @abstractmethod
    def score(said: str, right: Sequence[str]) -> float:
        """Score an answer against those that are right."""

    def _compute(
        self, prediction: list[str], references: list[list[str]], parsed: list[bool], group: list[str]
    ) -> dict[str, Any]:
        scores = [
            self.score(said, right) if ended else 0.0
            for said, right, ended in zip(prediction, references, parsed, strict=True)
        ]
        return {self.value: mean(scores).figures(group, "share")}


class VQAAccuracy(AnswerMetric):
    """VQA accuracy: an answer that three other people gave is right, one of fewer in part."""

    value, score = "vqa_accuracy", staticmethod(vqa_accuracy)


class RelaxedAccuracy(AnswerMetric):
    """ChartQA's relaxed accuracy: numbers within 5 %, other answers equal."""

    value, score = "relaxed_accuracy", staticmethod(relaxed_accuracy)


class TokenF1(AnswerMetric):
    """SQuAD's F1 of an answer's words."""

    value, score = "token_f1", staticmethod(token_f1)


class ANLS(AnswerMetric):
    """Average normalised Levenshtein similarity, of ST-VQA and DocVQA."""

    value, score = "anls", staticmethod(anls)
