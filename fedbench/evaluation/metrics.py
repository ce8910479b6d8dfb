"""The core's metrics, as ``evaluate.Metric``s that work offline.

Each ``compute`` returns ``{name: {"value", "se", "n", "unit", "better", "scores"}}``: the fields of a
:class:`fedbench.api.metrics.Measure`, and one score for each item, whose mean is the value. A metric may do
without ``scores``; runs whose primary measure it is then record none.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Mapping
from typing import Any, ClassVar

import datasets
import evaluate
import numpy as np

from fedbench.data.features import library_folder
from fedbench.evaluation.estimates import average, mean, ratio

_COMMON = {"group": datasets.Value("string")}
_CHOICE = {
    "scores": datasets.Sequence(datasets.Value("float64")),
    "blind": datasets.Sequence(datasets.Value("float64")),
    "answer": datasets.Value("int64"),
}
ANSWERS: Mapping[str, Any] = {
    "prediction": datasets.Value("string"),
    "references": datasets.Sequence(datasets.Value("string")),
    "parsed": datasets.Value("bool"),
}
"""Features of generated answers."""


class OfflineMetric(evaluate.Metric):  # type: ignore[misc]
    """An ``evaluate.Metric`` that downloads nothing and keeps nothing on disk."""

    columns: ClassVar[Mapping[str, Any]] = {}
    """Features of the rows it is computed from, beside each item's group."""

    def __init__(self) -> None:
        folder = str(library_folder("evaluate"))
        super().__init__(config_name=type(self).__name__, keep_in_memory=True, cache_dir=folder)

    def _info(self) -> evaluate.MetricInfo:
        return evaluate.MetricInfo(
            description=self.__doc__ or "",
            citation="",
            features=datasets.Features({**self.columns, **_COMMON}),
        )

    def compute(self, **rows: Any) -> dict[str, Any]:
        """Compute the figures of ``rows``, or of what ``add_batch`` was given.

        Rows given here don't go through ``evaluate``'s Arrow file, which takes longer than any sum over them:
        a fifth of a whole run of a hundred clients with a few items each.
        """
        return self._compute(**rows) if rows else super().compute()  # type: ignore[no-any-return]


class CaptionLikelihood(OfflineMetric):
    """Held-out text under the model: NLL in nats per token, and the share of tokens that the model
    ranks first given the true ones before it (teacher-forced; not a rate of right answers).

    Rows: ``logp`` of an item's text in nats, its ``tokens``, and how many rank first (``hits``)."""

    columns: ClassVar[Mapping[str, Any]] = {
        "logp": datasets.Value("float64"),
        "tokens": datasets.Value("int64"),
        "hits": datasets.Value("int64"),
    }

    def _compute(
        self, logp: list[float], tokens: list[int], hits: list[int], group: list[str]
    ) -> dict[str, Any]:
        return {
            "nll": ratio(-np.asarray(logp), tokens).figures(group, "nats/token", "lower"),
            "token_accuracy": ratio(hits, tokens).figures(group, "share"),
        }


class ChoiceAccuracy(OfflineMetric):
    """Multiple choice by likelihood: argmax of log p(choice | image) − log p(choice | no image), and,
    as ``raw_accuracy``, without the prior. Ties go to the first choice.

    Rows: ``scores`` of an item's choices in nats, the same without the image (``blind``), and which is right
    (``answer``)."""

    columns: ClassVar[Mapping[str, Any]] = _CHOICE

    def _compute(
        self, scores: list[list[float]], blind: list[list[float]], answer: list[int], group: list[str]
    ) -> dict[str, Any]:
        corrected = [_hit(np.subtract(s, b), a) for s, b, a in zip(scores, blind, answer, strict=True)]
        raw = [_hit(np.asarray(s), a) for s, a in zip(scores, answer, strict=True)]
        return {
            "accuracy": mean(np.asarray(corrected)).figures(group, "share"),
            "raw_accuracy": mean(np.asarray(raw)).figures(group, "share"),
        }


def _hit(scores: np.ndarray, answer: int) -> float:
    """Score an item: 1 if the answer scores best, else 0; NaN where a model that diverged gives no scores."""
    return float(np.argmax(scores) == answer) if np.isfinite(scores).all() else float("nan")


class YesNo(OfflineMetric):
    """POPE's figures (arXiv 2305.10355) for yes/no questions, whose choices are yes, no in this order, by raw
    likelihood: accuracy, F1 of yes, share of yes, and the mean of the two classes' recalls.

    Rows: as :class:`ChoiceAccuracy`."""

    columns: ClassVar[Mapping[str, Any]] = _CHOICE

    def _compute(
        self, scores: list[list[float]], blind: list[list[float]], answer: list[int], group: list[str]
    ) -> dict[str, Any]:
        said_yes = np.asarray([_hit(np.asarray(pair), 0) for pair in scores])
        is_yes = (np.asarray(answer) == 0).astype(float)
        hit, rejected = said_yes * is_yes, (1 - said_yes) * (1 - is_yes)
        f1 = ratio(2 * hit, said_yes + is_yes)
        balanced = average(ratio(hit, is_yes), ratio(rejected, 1 - is_yes))
        return {
            "accuracy": mean(hit + rejected).figures(group, "share"),
            "f1": f1.figures(group, "share"),
            "yes_ratio": mean(said_yes).figures(group, "share", "neither"),
            "balanced_accuracy": balanced.figures(group, "share"),
        }


class ExactMatch(OfflineMetric):
    """Greedy answers equal to a reference after lower-casing, however their characters are composed; an
    answer that never ended or is empty counts as wrong and in ``unparsed``.

    Rows: ``prediction``, ``references``, and whether the answer ended (``parsed``)."""

    columns: ClassVar[Mapping[str, Any]] = ANSWERS

    def _compute(
        self, prediction: list[str], references: list[list[str]], parsed: list[bool], group: list[str]
    ) -> dict[str, Any]:
        match = matches({"prediction": prediction, "references": references, "parsed": parsed})
        return {
            "exact_match": mean(match).figures(group, "share"),
            "unparsed": mean(~np.asarray(parsed)).figures(group, "share", "lower"),
        }


def _plain(text: str) -> str:
    """A text in lower case, with single spaces, each character spelt in one way (Unicode's NFC)."""
    return " ".join(unicodedata.normalize("NFC", text).lower().split())


def matches(rows: Mapping[str, list[Any]]) -> np.ndarray:
    """Whether each answer equals a reference (columns ``prediction``, ``references``, ``parsed``), [n]."""
    return np.array(
        [
            bool(ok) and _plain(said) in map(_plain, right)
            for said, right, ok in zip(rows["prediction"], rows["references"], rows["parsed"], strict=True)
        ],
        dtype=bool,
    )
