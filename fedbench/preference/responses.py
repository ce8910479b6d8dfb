"""Responses as tensors: questions about images with an answer each, as a backbone reads them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn.utils.rnn import pad_sequence

from fedbench.api.reward_fuser import ResponseBatch
from fedbench.models.language import LanguageModel


@dataclass(frozen=True)
class TokenizedResponses:
    """N questions about images with an answer each.

    ``llm``: the backbone that reads them; ``features`` [images, T, F]: its vision tower's; ``images`` [N]:
    rows of the features; ``ids`` [N, L]: prompt and answer, closed by eos; ``length`` [N]: real tokens;
    ``words``: prompt and answer as text.
    """

    llm: LanguageModel
    features: Tensor
    images: Tensor
    ids: Tensor
    length: Tensor
    words: Sequence[tuple[str, str]]

    @classmethod
    def from_text(
        cls,
        llm: LanguageModel,
        features: Tensor,
        *,
        images: Sequence[int],
        prompts: Sequence[str],
        answers: Sequence[str],
    ) -> TokenizedResponses:
        """Tokenize N prompts and answers."""
        ids = zip(llm.prompt_ids(prompts), llm.answer_ids(answers), strict=True)
        rows = [[*prompt, *answer] for prompt, answer in ids]
        words = list(zip(prompts, answers, strict=True))
        return cls.from_ids(llm, features, images=images, rows=rows, words=words)

    @classmethod
    def from_ids(
        cls,
        llm: LanguageModel,
        features: Tensor,
        *,
        images: Sequence[int],
        rows: Sequence[Sequence[int]],
        words: Sequence[tuple[str, str]],
    ) -> TokenizedResponses:
        """Pad N rows of token ids, such as a policy has sampled."""
        device = features.device
        ids = pad_sequence([torch.tensor(row) for row in rows], batch_first=True, padding_value=llm.eos)
        return cls(
            llm=llm,
            features=features,
            images=torch.tensor(list(images), device=device),
            ids=ids.to(device),
            length=torch.tensor([len(row) for row in rows], device=device),
            words=words,
        )

    def __len__(self) -> int:
        return len(self.words)

    @property
    def everything(self) -> ResponseBatch:
        """All N responses as a reward model reads them."""
        return self.responses(torch.arange(len(self), device=self.ids.device))

    def responses(self, index: Tensor) -> ResponseBatch:
        """Responses ``index`` [...] as a reward model reads them; −1 is an empty one. Only a flat ``index``
        keeps the words."""
        real, rows = index >= 0, index.clamp_min(0)
        length = self.length[rows] * real
        ids = self.ids[rows][..., : max(1, int(length.max()))]
        images = self.images[rows]
        return ResponseBatch(
            visual=self.features[images],
            ids=ids,
            text=self.llm.embed(ids),
            mask=torch.arange(ids.shape[-1], device=ids.device) < length[..., None],
            images=images,
            words=[self.words[i] for i in index.tolist()] if index.dim() == 1 else (),
        )


@dataclass(frozen=True)
class BackboneView:
    """A backbone's LLM and its vision features [images, T, F]: what it takes to read responses with it."""

    llm: LanguageModel
    features: Tensor

    def tokenized(
        self, images: Sequence[int], prompts: Sequence[str], answers: Sequence[str]
    ) -> TokenizedResponses:
        """N prompts about images and an answer each, tokenized for this backbone."""
        return TokenizedResponses.from_text(
            self.llm, self.features, images=images, prompts=prompts, answers=answers
        )

    def reread(self, responses: ResponseBatch) -> ResponseBatch:
        """The same N responses as this backbone reads them."""
        prompts, answers = zip(*responses.words, strict=True)
        return self.tokenized(responses.images.tolist(), prompts, answers).everything
