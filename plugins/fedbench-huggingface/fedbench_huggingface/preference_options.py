"""Options of the data set ``preferences``: which column of a table means what."""

from __future__ import annotations

from pydantic import Field, model_validator

from fedbench import Options
from fedbench_huggingface.columns import Columns

SUITE = "test/answer"
"""What a policy is asked: held-out questions, whose right answers are the preferred ones."""


class PreferenceShares(Options):
    """Shares of each client's images that clients don't learn from, where the data doesn't say which."""

    queries: float = Field(0.2, gt=0, lt=1, description="share whose questions are the server's public ones")
    comparisons: float = Field(
        0.1,
        gt=0,
        lt=1,
        description="share whose preferences are public, for validation; its own split validation",
    )
    test: float = Field(0.1, gt=0, lt=1, description="share that policies are measured on")

    @model_validator(mode="after")
    def _something_is_left(self) -> PreferenceShares:
        if self.queries + self.comparisons + self.test >= 1:
            raise ValueError("queries, comparisons and test leave nothing to learn from")
        return self


class PreferencesOptions(Columns):
    """Options of the data set ``preferences``."""

    name = "preferences"
    prompt: str = Field("prompt", description="column of the questions")
    chosen: str = Field("chosen", description="column of the preferred answers, one text each")
    rejected: str = Field("rejected", description="column of the other answers, one text each")
    shares: PreferenceShares = Field(
        default_factory=PreferenceShares, description="shares of what no client learns from"
    )

    @model_validator(mode="after")
    def _answers_are_two(self) -> PreferencesOptions:
        if self.chosen == self.rejected:
            raise ValueError(f"chosen and rejected are both column {self.chosen!r}: name two")
        return self


def preference_suites(options: PreferencesOptions) -> dict[str, str]:
    """List the suites that the data will have, each with its form."""
    return {SUITE: "generate"}
