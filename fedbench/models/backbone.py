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
    from torch.nn import Module
    from transformers import PreTrainedTokenizerBase


def unchanged(image: Image) -> Image:
    """Return the image."""
    return image


@dataclass(frozen=True)
class Backbone:
    """What the factory of a ``BackboneSpec`` returns: a frozen vision encoder and a frozen causal LLM.

    >>> import torch
    >>> from transformers import LlamaConfig, LlamaForCausalLM
    >>> from fedbench import Backbone
    >>> tiny = LlamaConfig(
    ...     vocab_size=32, hidden_size=8, intermediate_size=8, num_hidden_layers=1, num_attention_heads=2
    ... )
    >>> backbone = Backbone(
    ...     name="tiny",
    ...     fingerprint="0" * 64,
    ...     encoder="1" * 64,
    ...     encode=lambda images: torch.zeros(len(images), 4, 6),
    ...     llm=LlamaForCausalLM(tiny),
    ...     tokenizer=None,  # load_llm returns the LLM and its tokenizer
    ... )
    >>> backbone.width, backbone.encode(["an image"]).shape
    (8, torch.Size([1, 4, 6]))
    """

    name: str
    """The backbone's name, for records."""
    fingerprint: str
    """sha256 of everything: encoder, LLM, tokenizer, projector."""
    encoder: str
    """sha256 of the vision encoder and its preprocessing: cached features belong to it."""
    encode: Callable[[Sequence[Image]], Tensor]
    """``encode(images) -> [N, T, F]``, fp32 on the CPU: T tokens of width F for each image."""
    llm: Any
    """A ``transformers`` causal LM of embedding width D."""
    tokenizer: PreTrainedTokenizerBase
    """Its tokenizer."""
    projector: Tensor | None = None
    """[P]: parameters of the connector of a backbone that can already see: a whole vision-language model,
    such as a policy has to be. Laid out as :class:`.projector.Projector`'s, or as those of ``connector``."""
    connector: Module | None = None
    """The module between its vision encoder and its LLM, [B, T, F] to [B, T', D], where that is no
    :class:`.projector.Projector`; ``training.connector = "backbone"`` trains it."""
    chat_template: ChatTemplate = field(default_factory=ChatTemplate)
    """The text and tokens around an image and a question."""
    shrink: Callable[[Image], Image] = unchanged
    """What ``encode`` does to each image first, such as resizing it to what the vision tower sees. ``encode``
    gives the same bits for an image that it was done to already. Images are shrunk one by one as they are
    opened, so that a batch of photos is never in memory at full size."""

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
    """A causal LM (fp32) and its tokenizer from a Hugging Face folder: safetensors, no remote code.

    >>> import tempfile
    >>> from pathlib import Path
    >>> from tokenizers import Tokenizer, models
    >>> from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast
    >>> from fedbench import load_llm
    >>> tiny = LlamaConfig(
    ...     vocab_size=32, hidden_size=8, intermediate_size=8, num_hidden_layers=1, num_attention_heads=2
    ... )
    >>> words = Tokenizer(models.WordLevel({"red": 0, "blue": 1}))
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     LlamaForCausalLM(tiny).save_pretrained(folder)
    ...     _ = PreTrainedTokenizerFast(tokenizer_object=words).save_pretrained(folder)
    ...     llm, tokenizer = load_llm(Path(folder))
    >>> llm.dtype, tokenizer("blue").input_ids
    (torch.float32, [1])
    """
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
