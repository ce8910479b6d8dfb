"""Training pairs as token tables: built once, gathered by index, trimmed to the batch's longest."""

from __future__ import annotations

from array import array
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor

from fedbench.data.items import Pair
from fedbench.models.language import LanguageModel

CHUNK = 2_000
"""Pairs that are tokenized at a time, so that no list of a million texts' tokens is made."""


@dataclass(frozen=True)
class TokenTable:
    """The tokens of N training pairs."""

    tokens: Tensor
    """[all tokens], int32: prompt and answer tokens of each pair behind those of the one before."""
    begin: Tensor
    """[N]: where a pair's tokens begin in them."""
    start: Tensor
    """[N]: the position of the answer's first token."""
    end: Tensor
    """[N]: the position after the answer's last token, its eos."""
    image: Tensor
    """[N]: the pair's image, −1 where it has none."""
    width: int | None = None
    """L', what gathered rows are padded to; None for the longest of them."""

    @classmethod
    def build(cls, pairs: Sequence[Pair], llm: LanguageModel) -> TokenTable:
        """Tokenize pairs onto the LLM's device; equal texts that are near each other are tokenized once."""
        tokens, starts, ends = array("i"), array("q"), array("q")
        for first in range(0, len(pairs), CHUNK):
            some = pairs[first : first + CHUNK]
            prompts = _lookup(llm.prompt_ids, [pair.prompt for pair in some])
            answers = _lookup(llm.answer_ids, [pair.answer for pair in some])
            for pair in some:
                prompt, answer = prompts[pair.prompt], answers[pair.answer]
                tokens.extend(prompt)
                tokens.extend(answer)
                starts.append(len(prompt))
                ends.append(len(prompt) + len(answer))
        end = _tensor(ends, np.int64)
        return cls(
            tokens=_tensor(tokens, np.int32).to(llm.device),
            begin=(end.cumsum(0) - end).to(llm.device),
            start=_tensor(starts, np.int64).to(llm.device),
            end=end.to(llm.device),
            image=torch.from_numpy(np.fromiter((pair.image for pair in pairs), np.int64)).to(llm.device),
        )

    def gather(self, index: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Gather examples ``index`` [...] (−1 for none): ids, text mask and answer mask, [..., L'] each."""
        rows, end = index.clamp_min(0), self._end(index)
        length = int(end.max()) if self.width is None else self.width
        position = torch.arange(length, device=index.device)
        place = (self.begin[rows][..., None] + position).clamp_max(len(self.tokens) - 1)
        own = position < self.end[rows][..., None]
        ids = torch.where(own, self.tokens[place].long(), 0)
        text = position < end[..., None]
        return ids, text, (position >= self.start[rows][..., None]) & text

    def has_image(self, index: Tensor) -> Tensor:
        """Whether examples ``index`` [...] have an image; without meaning where there is no example."""
        return self.image[index.clamp_min(0)] >= 0

    def padded_for(self, index: Tensor) -> TokenTable:
        """The table that pads to the longest of the examples ``index``, whichever of them are gathered."""
        return replace(self, width=int(self._end(index).max()))

    def _end(self, index: Tensor) -> Tensor:
        """[...]: the lengths of examples ``index``, 0 for none."""
        return self.end[index.clamp_min(0)] * (index >= 0)


def _tensor(values: array[int], dtype: type[np.generic]) -> Tensor:
    return torch.from_numpy(np.array(values, dtype=dtype))


def _lookup(
    tokenize: Callable[[Sequence[str]], list[list[int]]], texts: Sequence[str]
) -> dict[str, list[int]]:
    unique = sorted(set(texts))
    return dict(zip(unique, tokenize(unique), strict=True))
