"""The language half of a vision-language model."""

from __future__ import annotations

from typing import Any

from torch import nn
from transformers import PreTrainedModel


class TextModel(PreTrainedModel):
    """A text model and its head as one causal LM, with the interface of ``AutoModelForCausalLM``'s."""

    base_model_prefix = "model"
    _supports_sdpa = True
    _supports_attention_backend = True

    def __init__(self, model: PreTrainedModel, head: nn.Module) -> None:
        super().__init__(model.config)
        self.model, self.lm_head = model, head

    def get_output_embeddings(self) -> Any:
        """The head, as transformers looks it up."""
        return self.lm_head
