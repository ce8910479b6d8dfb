"""The core's metrics, as ``evaluate.Metric``s that work offline.

Each ``compute`` returns ``{name: {"value", "se", "n", "unit", "better"}}``.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

import datasets
import evaluate
import numpy as np

from fedbench.evaluation.estimates import average, mean, ratio

_COMMON = {"group": datasets.Value("string")}
_CHOICE = {
    "scores": datasets.Sequence(datasets.Value("float64")),
    "blind": datasets.Sequence(datasets.Value("float64")),
    "answer": datasets.Value("int64"),
}


class _Offline(evaluate.Metric):  # type: ignore[misc]
    columns: ClassVar[Mapping[str, Any]] = {}

    def __init__(self) -> None:
        super().__init__(config_name=type(self).__name__, keep_in_memory=True)

    def _info(self) -> evaluate.MetricInfo:
        return evaluate.MetricInfo(
            description=self.__doc__ or "",
            citation="",
            features=datasets.Features({**self.columns, **_COMMON}),
        )

    def compute(self, **rows: Any) -> dict[str, Any]:
        """The figures of ``rows``, or of what ``add_batch`` was given.

        Rows at hand don't go through ``evaluate``'s Arrow file, which takes longer than any sum over them: a
        fifth of a whole run of a hundred clients with a few items each.
        """
        return self._compute(**rows) if rows else super().compute()  # type: ignore[no-any-return]


class CaptionLikelihood(_Offline):
    """Held-out text under the model: NLL in nats per token, and the share of tokens that the model
    ranks first given the true ones before it (teacher-forced; not a rate of right answers)."""

    columns: ClassVar[Mapping[str, Any]] = {
        "logp": datasets.Value("float64"),
        "tokens": datasets.Value("int64"),
        "hits": datasets.Value("int64"),
    }

    def _compute(
        self, logp: list[float], tokens: list[int], hits: list[int], group: list[str]
    ) -> dict[str, Any]:
        return {
            "nll": ratio(-np.asarray(logp), tokens).measure(group, "nats/token", "lower"),
            "token_accuracy": ratio(hits, tokens).measure(group, "share"),
        }


class ChoiceAccuracy(_Offline):
    """Multiple choice by likelihood: argmax of log p(choice | image) − log p(choice | no image), and,
    as ``raw_accuracy``, without the prior. Ties go to the first choice."""

    columns: ClassVar[Mapping[str, Any]] = _CHOICE

    def _compute(
        self, scores: list[list[float]], blind: list[list[float]], answer: list[int], group: list[str]
    ) -> dict[str, Any]:
        corrected = [_hit(np.subtract(s, b), a) for s, b, a in zip(scores, blind, answer, strict=True)]
        raw = [_hit(np.asarray(s), a) for s, a in zip(scores, answer, strict=True)]
        return {
            "accuracy": mean(np.asarray(corrected)).measure(group, "share"),
            "raw_accuracy": mean(np.asarray(raw)).measure(group, "share"),
        }


def _hit(scores: np.ndarray, answer: int) -> float:
    """1 if the answer scores best, else 0; NaN where a model that diverged gives no scores."""
    return float(np.argmax(scores) == answer) if np.isfinite(scores).all() else float("nan")


class YesNo(_Offline):
    """POPE's figures for yes/no questions (choices are yes, no in this order), by raw likelihood:
    accuracy, F1 of yes, share of yes, and the mean of the two classes' recalls."""

    columns: ClassVar[Mapping[str, Any]] = _CHOICE

    def _compute(
        self, scores: list[list[float]], blind: list[list[float]], answer: list[int], group: list[str]
    ) -> dict[str, Any]:
        said = np.asarray([_hit(np.asarray(pair), 0) for pair in scores])
        true = (np.asarray(answer) == 0).astype(float)
        hit, rejected = said * true, (1 - said) * (1 - true)
        f1 = ratio(2 * hit, said + true)
        balanced = average(ratio(hit, true), ratio(rejected, 1 - true))
        return {
            "accuracy": mean(hit + rejected).measure(group, "share"),
            "f1": f1.measure(group, "share"),
            "yes_ratio": mean(said).measure(group, "share", "neither"),
            "balanced_accuracy": balanced.measure(group, "share"),
        }


class ExactMatch(_Offline):
    """Greedy answers equal to the reference after lower-casing; an answer that never ended or is
    empty counts as wrong and in ``unparsed``."""

    columns: ClassVar[Mapping[str, Any]] = {
        "prediction": datasets.Value("string"),
        "reference": datasets.Value("string"),
        "parsed": datasets.Value("bool"),
    }

    def _compute(
        self, prediction: list[str], reference: list[str], parsed: list[bool], group: list[str]
    ) -> dict[str, Any]:
        match = matches({"prediction": prediction, "reference": reference, "parsed": parsed})
        return {
            "exact_match": mean(match).measure(group, "share"),
            "unparsed": mean(~np.asarray(parsed)).measure(group, "share", "lower"),
        }


def matches(rows: Mapping[str, list[Any]]) -> np.ndarray:
    """Which answers (columns ``prediction``, ``reference``, ``parsed``) equal the reference, [n]."""
    return np.array(
        [
            bool(ok) and " ".join(said.lower().split()) == " ".join(right.lower().split())
            for said, right, ok in zip(rows["prediction"], rows["reference"], rows["parsed"], strict=True)
        ],
        dtype=bool,
    )
