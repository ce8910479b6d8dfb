"""An LLM as the tracks use it: embed tokens, run, read logits only where they are needed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from fedbench.models.backbone import Backbone
from fedbench.models.ragged import NO_MASK, Ragged


@dataclass(frozen=True)
class LanguageModel:
    """A view of a backbone's LLM. The layout of a sequence is ``[visual][prompt][" " + answer][eos]``."""

    backbone: Backbone

    @property
    def device(self) -> torch.device:
        return self.backbone.llm.device  # type: ignore[no-any-return]

    @property
    def eos(self) -> int:
        return int(self.backbone.tokenizer.eos_token_id)

    def prompt_ids(self, prompts: Sequence[str]) -> list[list[int]]:
        return self._ids(prompts)

    def answer_ids(self, answers: Sequence[str]) -> list[list[int]]:
        """Token ids of the answers, each closed by eos."""
        return [[*ids, self.eos] for ids in self._ids([f" {answer}" for answer in answers])]

    def _ids(self, texts: Sequence[str]) -> list[list[int]]:
        if not texts:
            return []
        ids: list[list[int]] = self.backbone.tokenizer(list(texts), add_special_tokens=False)["input_ids"]
        return ids

    def embed(self, ids: Tensor) -> Tensor:
        """[..., L] token ids to [..., L, D] input embeddings."""
        return self.backbone.llm.get_input_embeddings()(ids)  # type: ignore[no-any-return]

    def hidden(
        self, embeddings: Tensor, positions: Tensor | None = None, mask: Tensor | None = None
    ) -> Tensor:
        """[N, L, D] embeddings to [N, L, D] final hidden states.

        Causal by default; padding on the right needs no mask, since no real token can see it.
        ``mask`` [N, 1, L, L] is True where a row may look at a column.
        """
        output = self.backbone.llm.base_model(
            inputs_embeds=embeddings, position_ids=positions, attention_mask=mask, use_cache=False
        )
        return output.last_hidden_state  # type: ignore[no-any-return]

    def hidden_ragged(self, embeddings: Tensor, ragged: Ragged) -> Tensor:
        """[M, D] embeddings of ragged sequences to [M, D] final hidden states, without any padding."""
        output = self.backbone.llm.base_model(
            inputs_embeds=embeddings[None],
            position_ids=ragged.positions[None],
            attention_mask=NO_MASK,
            use_cache=False,
            ragged=ragged,
        )
        return output.last_hidden_state[0]  # type: ignore[no-any-return]

    def logits(self, hidden: Tensor) -> Tensor:
        """[..., D] hidden states to [..., V] logits."""
        return self.backbone.llm.get_output_embeddings()(hidden)  # type: ignore[no-any-return]
