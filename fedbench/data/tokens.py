"""Training pairs as token tables: built once, gathered by index, trimmed to the batch's longest."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

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
    """[N]: the pair's image, −1 where it has none."""
    width: int | None = None
    """L', what gathered rows are padded to; None for the longest of them."""

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
        rows, end = index.clamp_min(0), self._end(index)
        length = int(end.max()) if self.width is None else self.width
        position = torch.arange(length, device=index.device)
        text = position < end[..., None]
        return self.ids[rows][..., :length], text, (position >= self.start[rows][..., None]) & text

    def has_image(self, index: Tensor) -> Tensor:
        """Whether examples ``index`` [...] have an image; without meaning where there is no example."""
        return self.image[index.clamp_min(0)] >= 0

    def padded_for(self, index: Tensor) -> TokenTable:
        """The table that pads to the longest of the examples ``index``, whichever of them are gathered."""
        return replace(self, width=int(self._end(index).max()))

    def _end(self, index: Tensor) -> Tensor:
        """[...]: the lengths of examples ``index``, 0 for none."""
        return self.end[index.clamp_min(0)] * (index >= 0)


def _lookup(
    tokenize: Callable[[Sequence[str]], list[list[int]]], texts: Sequence[str]
) -> dict[str, list[int]]:
    unique = sorted(set(texts))
    return dict(zip(unique, tokenize(unique), strict=True))
