"""Training pairs as token tables: built once, gathered by index, trimmed to the batch's longest."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn.utils.rnn import pad_sequence

from fedbench.data.items import Pair
from fedbench.models.language import LanguageModel


@dataclass(frozen=True)
class TokenTable:
    """The tokens of N training pairs."""

    ids: Tensor
    """[N, L]: prompt and answer tokens, padded on the right."""
    start: Tensor
    """[N]: the position of the answer's first token."""
    end: Tensor
    """[N]: the position after the answer's last token, its eos."""
    image: Tensor
    """[N]: the pair's image."""

    @classmethod
    def build(cls, pairs: Sequence[Pair], llm: LanguageModel) -> TokenTable:
        """Tokenize pairs onto the LLM's device; equal texts are tokenized once."""
        prompts = _lookup(llm.prompt_ids, [pair.prompt for pair in pairs])
        answers = _lookup(llm.answer_ids, [pair.answer for pair in pairs])
        rows = [torch.tensor([*prompts[pair.prompt], *answers[pair.answer]]) for pair in pairs]
        starts = torch.tensor([len(prompts[pair.prompt]) for pair in pairs])
        return cls(
            pad_sequence(rows, batch_first=True).to(llm.device),
            starts.to(llm.device),
            torch.tensor([len(row) for row in rows]).to(llm.device),
            torch.tensor([pair.image for pair in pairs]).to(llm.device),
        )

    def gather(self, index: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Gather examples ``index`` [...] (−1 for none): ids, text mask and answer mask, [..., L'] each."""
        real, rows = index >= 0, index.clamp_min(0)
        end = self.end[rows] * real
        length = int(end.max())
        position = torch.arange(length, device=index.device)
        text = position < end[..., None]
        return self.ids[rows][..., :length], text, (position >= self.start[rows][..., None]) & text


def _lookup(
    tokenize: Callable[[Sequence[str]], list[list[int]]], texts: Sequence[str]
) -> dict[str, list[int]]:
    unique = sorted(set(texts))
    return dict(zip(unique, tokenize(unique), strict=True))
