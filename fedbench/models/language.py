"""An LLM as the tracks use it: embed tokens, run, compute logits only where they are needed."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import torch
from torch import Tensor
from transformers import Cache

from fedbench.models.backbone import Backbone
from fedbench.models.ragged import NO_MASK, Ragged


@dataclass(frozen=True)
class LanguageModel:
    """A backbone's LLM with float32 inputs and outputs, whatever it computes in. The layout of a sequence is
    ``[visual][prompt][answer][eos]``, each with what the backbone's chat template puts around it."""

    backbone: Backbone

    @property
    def device(self) -> torch.device:
        """The device that the LLM computes on."""
        return self.backbone.llm.device  # type: ignore[no-any-return]

    @property
    def eos(self) -> int:
        """The token id that ends an answer."""
        return int(self.backbone.tokenizer.eos_token_id)

    @property
    def positions(self) -> int | None:
        """The most tokens that the LLM was made for; None if its configuration doesn't say."""
        return self.backbone.llm.config.to_dict().get("max_position_embeddings")  # type: ignore[no-any-return]

    def prompt_ids(self, prompts: Sequence[str]) -> list[list[int]]:
        """Token ids of all that stands between an image and an answer."""
        template = self.backbone.chat_template
        return self._ids(prompts, before=template.after, after=template.turn)

    def answer_ids(self, answers: Sequence[str]) -> list[list[int]]:
        """Token ids of the answers, each closed by eos."""
        lead = self.backbone.chat_template.lead
        return [[*ids, self.eos] for ids in self._ids(answers, before=lead)]

    def _ids(self, texts: Sequence[str], before: str = "", after: str = "") -> list[list[int]]:
        """Token ids of ``texts`` between what a chat template puts around them.

        A special token is one in the template only: a text that spells one ("<eos>") is text.
        """
        if not texts:
            return []
        whole = [f"{before}{text}{after}" for text in texts]
        settings = {"add_special_tokens": False, "verbose": False}  # a text that is too long is our own error
        ids: list[list[int]] = self.backbone.tokenizer(whole, **settings)["input_ids"]
        for number, text in enumerate(texts):
            if self._special and self._special.search(text):
                ids[number] = self._spelt_out(text, before, after)
        return ids

    def _spelt_out(self, text: str, before: str, after: str) -> list[int]:
        """The ids of a text that spells special tokens: as far as the template's own, it is read as text."""
        assert self._special

        def tokenize(part: str, as_text: bool) -> list[int]:
            settings = {"add_special_tokens": False, "split_special_tokens": as_text, "verbose": False}
            ids: list[int] = self.backbone.tokenizer(part, **settings)["input_ids"]
            return ids

        start = max((match.end() for match in self._special.finditer(before)), default=0)
        match = self._special.search(after)
        end = match.start() if match else len(after)
        inner = tokenize(f"{before[start:]}{text}{after[:end]}", as_text=True)
        return [*tokenize(before[:start], as_text=False), *inner, *tokenize(after[end:], as_text=False)]

    @cached_property
    def _special(self) -> re.Pattern[str] | None:
        """Finds the spellings of the tokenizer's special tokens; None if it has none."""
        tokenizer = self.backbone.tokenizer
        added = {str(token) for token in tokenizer.added_tokens_decoder.values() if token.special}
        spellings = sorted({*added, *tokenizer.all_special_tokens} - {""}, key=len, reverse=True)
        return re.compile("|".join(map(re.escape, spellings))) if spellings else None

    def embed(self, ids: Tensor) -> Tensor:
        """[..., L] token ids to [..., L, D] input embeddings."""
        return self.backbone.llm.get_input_embeddings()(ids).float()  # type: ignore[no-any-return]

    def with_template(self, visual: Tensor) -> Tensor:
        """An image's tokens [..., T, D] with what the chat template puts around them, [..., W, D]."""
        before, closing = self._before, self.backbone.chat_template.closing
        around = [self.embed(torch.tensor(before, device=visual.device))] if before else []
        around += [visual]
        around += [] if closing is None else [closing.to(visual)]
        if len(around) == 1:
            return visual
        return torch.cat([part.expand(*visual.shape[:-2], -1, -1) for part in around], dim=-2)

    def template_mask(self, has_image: Tensor, tokens: int) -> Tensor:
        """Which of :meth:`with_template`'s tokens there are, [..., W], where ``has_image`` [...] says if an
        image of so many ``tokens`` is. What the template puts around it is there without one, too, as it is
        in the prior without an image."""
        closing, always = self.backbone.chat_template.closing, torch.ones_like(has_image)
        sizes = (len(self._before), tokens, 0 if closing is None else len(closing))
        parts = zip((always, has_image, always), sizes, strict=True)
        return torch.cat([there[..., None].expand(*there.shape, size) for there, size in parts], dim=-1)

    @cached_property
    def _before(self) -> list[int]:
        """The ids of what stands before an image; a list, since a cached tensor keeps the inference mode."""
        return self._ids([""], before=self.backbone.chat_template.before)[0]

    def position_ids(self, index: Tensor, has_image: Tensor | None = None) -> Tensor:
        """The LLM's position ids of tokens ``index`` [...] of a sequence that begins with an image: the
        numbers themselves, or [A, ...] if the chat template has positions along A axes.

        ``has_image`` [...]: False for tokens of a sequence without one, whose positions are their numbers.
        """
        table = self.backbone.chat_template.positions
        if table is None:
            return index
        table = table.to(index.device)
        width = table.shape[1]
        positions = torch.where(
            index < width, table[:, index.clamp_max(width - 1)], index - width + table.max() + 1
        )
        return positions if has_image is None else torch.where(has_image, positions, index)

    def hidden(
        self,
        embeddings: Tensor,
        positions: Tensor | None = None,
        mask: Tensor | None = None,
        cache: Cache | None = None,
    ) -> Tensor:
        """[N, L, D] embeddings, after what ``cache`` holds, to [N, L, D] final hidden states.

        Causal by default; padding on the right needs no mask, since no real token attends to it. ``mask``
        [N, 1, L, L] is True where a token may attend to another; [N, L] where a token is real.
        """
        output = self.backbone.llm.base_model(
            inputs_embeds=embeddings.to(self.backbone.llm.dtype),
            position_ids=positions,
            attention_mask=mask,
            past_key_values=cache,
            use_cache=cache is not None,
        )
        return output.last_hidden_state.float()  # type: ignore[no-any-return]

    def hidden_ragged(
        self,
        embeddings: Tensor,
        ragged: Ragged,
        index: Tensor | None = None,
        has_image: Tensor | None = None,
    ) -> Tensor:
        """[M, D] embeddings of ragged sequences, each beginning with an image, to [M, D] final hidden states,
        without any padding. ``index`` [M]: the tokens' numbers in their sequences, if there are gaps.
        ``has_image`` [M]: False for tokens of a sequence without an image."""
        index = ragged.positions if index is None else index
        output = self.backbone.llm.base_model(
            inputs_embeds=embeddings[None].to(self.backbone.llm.dtype),
            position_ids=self.position_ids(index[None], has_image),
            attention_mask=NO_MASK,
            use_cache=False,
            ragged=ragged,
        )
        return output.last_hidden_state[0].float()  # type: ignore[no-any-return]

    def logits(self, hidden: Tensor) -> Tensor:
        """[..., D] hidden states to [..., V] logits."""
        llm = self.backbone.llm
        return llm.get_output_embeddings()(hidden.to(llm.dtype)).float()  # type: ignore[no-any-return]
