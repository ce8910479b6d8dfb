"""A measure for open questions, which no answer equals: words in common with the preferred one."""

from __future__ import annotations

import re
import unicodedata
from collections import Counter
from typing import Any

import datasets
import evaluate
import numpy as np

from fedbench import mean


class TokenF1(evaluate.Metric):  # type: ignore[misc]
    """The harmonic mean of precision and recall of an answer's words (SQuAD, arXiv 1606.05250); 0 for one
    that never ended."""

    def __init__(self) -> None:
        super().__init__(config_name="token-f1", keep_in_memory=True)

    def _info(self) -> evaluate.MetricInfo:
        columns = {name: datasets.Value("string") for name in ("prediction", "group")}
        references = datasets.Sequence(datasets.Value("string"))
        features = datasets.Features({**columns, "references": references, "parsed": datasets.Value("bool")})
        return evaluate.MetricInfo(description=self.__doc__ or "", citation="", features=features)

    def _compute(
        self, prediction: list[str], references: list[list[str]], parsed: list[bool], group: list[str]
    ) -> dict[str, Any]:
        scores = [
            max(f1(said, wanted) for wanted in right) if ended else 0.0
            for said, right, ended in zip(prediction, references, parsed, strict=True)
        ]
        return {"token_f1": mean(np.asarray(scores)).measure(group, "share")}


def f1(said: str, wanted: str) -> float:
    """Compute 2·(words in common) / (words of both); case and punctuation do not count."""
    ours, theirs = (
        Counter(re.findall(r"\w+", unicodedata.normalize("NFC", text).lower())) for text in (said, wanted)
    )
    total = ours.total() + theirs.total()
    return 2 * (ours & theirs).total() / total if total else 0.0
