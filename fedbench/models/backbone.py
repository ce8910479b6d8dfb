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
    """``encode(images)`` gives visual features [N, T, F] fp32 on the CPU; ``llm`` is a ``transformers``
    causal LM of embedding width D. ``encoder`` is the vision encoder's content hash, ``fingerprint`` that
    of everything. ``projector`` [P] are the parameters (laid out as :class:`.projector.Projector`'s) of a
    backbone that can already see: a whole vision-language model, such as a policy has to be. ``frame`` is
    how its LLM wants to be shown an image and asked.
    """

    name: str
    fingerprint: str
    encoder: str
    encode: Callable[[Sequence[Image]], Tensor]
    llm: Any
    tokenizer: PreTrainedTokenizerBase
    projector: Tensor | None = None
    frame: ChatTemplate = field(default_factory=ChatTemplate)

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
    """A causal LM (fp32) and its tokenizer from a Hugging Face folder: safetensors, no remote code."""
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
