"""A backbone: a frozen vision encoder and a frozen causal LLM with its tokenizer."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from fedbench.errors import UsageError
from fedbench.models import ragged
from fedbench.models.chat_template import ChatTemplate

if TYPE_CHECKING:
    from PIL.Image import Image
    from transformers import PreTrainedTokenizerBase


@dataclass(frozen=True)
class Backbone:
    """A frozen vision encoder and a frozen causal LLM, and what names them."""

    name: str
    """The name it is registered under."""
    fingerprint: str
    """Content hash of all of it."""
    encoder: str
    """Content hash of the vision encoder, by which features are cached."""
    encode: Callable[[Sequence[Image]], Tensor]
    """From N images to visual features [N, T, F], fp32 on the CPU."""
    llm: Any
    """A ``transformers`` causal LM of embedding width D."""
    tokenizer: PreTrainedTokenizerBase
    """The LLM's tokenizer."""
    projector: Tensor | None = None
    """Trained parameters [P] (laid out as :class:`.projector.Projector`'s) of a backbone that is a whole
    vision-language model, as policies need; None if it has no projector yet."""
    frame: ChatTemplate = field(default_factory=ChatTemplate)
    """The tokens that its LLM expects around images, questions and answers."""

    @property
    def width(self) -> int:
        """D, the LLM's embedding width."""
        return int(self.llm.get_input_embeddings().embedding_dim)

    def freeze(self, device: torch.device) -> Backbone:
        """Move the LLM to ``device``, in evaluation mode and without gradients."""
        self.llm.to(device).eval().requires_grad_(False)
        self.llm.set_attn_implementation(ragged.NAME)
        return self


def load_llm(folder: Path) -> tuple[Any, PreTrainedTokenizerBase]:
    """Load a causal LM (fp32) and its tokenizer from a Hugging Face folder: safetensors, no remote code."""
    from transformers import AutoModelForCausalLM, AutoTokenizer
    from transformers.utils import logging

    logging.disable_progress_bar()
    try:
        llm = AutoModelForCausalLM.from_pretrained(
            folder, dtype=torch.float32, local_files_only=True, use_safetensors=True, trust_remote_code=False
        )
        tokenizer = AutoTokenizer.from_pretrained(folder, local_files_only=True, trust_remote_code=False)
    except Exception as error:
        raise UsageError(
            "can't load the LLM checkpoint",
            where=folder,
            why=error,
            fix="reinstall the package it came with, or restore the folder",
        ) from error
    return llm, tokenizer
