"""The server's public questions, and how a policy's answers to them are read by reward sources."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch

from fedbench.models.policy import Answers, Questions, texts
from fedbench.preference.responses import BackboneView, TokenizedResponses


@dataclass(frozen=True)
class Queries:
    """Q public questions: ``questions`` as a policy reads them, ``prompts`` as text. ``view``: the frozen
    backbone that the clients read answers with."""

    view: BackboneView
    questions: Questions
    prompts: Sequence[str]

    @classmethod
    def of(cls, view: BackboneView, images: Sequence[int], prompts: Sequence[str]) -> Queries:
        """Prompts about images, tokenized."""
        rows = torch.tensor(list(images), device=view.features.device)
        questions = Questions(images=rows, prompts=view.llm.prompt_ids(prompts))
        return cls(view=view, questions=questions, prompts=prompts)

    def __len__(self) -> int:
        return len(self.prompts)

    def rows(self, index: Sequence[int]) -> Queries:
        """The queries at ``index``."""
        questions = Questions(
            images=self.questions.images[list(index)],
            prompts=[self.questions.prompts[i] for i in index],
        )
        return Queries(view=self.view, questions=questions, prompts=[self.prompts[i] for i in index])

    def responses(self, answers: Answers) -> TokenizedResponses:
        """A policy's answers [Q·G], G to each question, as reward sources read them.

        An answer without eos is read as far as it goes; as text it is empty, which is no right answer.
        """
        group = len(answers.ids) // len(self)
        repeated = self.questions.repeated(group)
        rows = [
            [*prompt, *(token for token, real in zip(ids, mask, strict=True) if real)]
            for prompt, ids, mask in zip(
                repeated.prompts, answers.ids.tolist(), answers.mask.tolist(), strict=True
            )
        ]
        prompts = [prompt for prompt in self.prompts for _ in range(group)]
        decoded = [text or "" for text in texts(self.view.llm, answers)]
        return TokenizedResponses.from_ids(
            self.view.llm,
            self.view.features,
            images=repeated.images.tolist(),
            rows=rows,
            words=list(zip(prompts, decoded, strict=True)),
        )
