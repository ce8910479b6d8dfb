"""Chat templates: the texts around an image and a question in the sequence that an LLM reads."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor


@dataclass(frozen=True)
class ChatTemplate:
    """The sequence ``[before][image][closing][after][question][turn][lead + answer][eos]``."""

    before: str = ""
    """Text before the image."""
    after: str = ""
    """Text between the image and the question."""
    turn: str = ""
    """Text between the question and the answer, where the assistant's turn begins."""
    lead: str = " "
    """What an answer begins with, tokenized together with it."""
    closing: Tensor | None = None
    """[n, D]: embeddings that end every image (LLaVA-OneVision's newline)."""
    positions: Tensor | None = None
    """[A, W]: the positions of ``[before][image][closing]`` along A axes (Qwen2-VL's M-RoPE: time, height,
    width); what follows goes on after the largest. None: 0, 1, 2, …"""
