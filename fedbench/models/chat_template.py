"""What stands around an image and a question in the sequence that an LLM reads."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor


@dataclass(frozen=True)
class ChatTemplate:
    """A chat model's ``[before][image][closing][after][question][turn][lead + answer][eos]``.

    ``closing`` [n, D]: embeddings that end every image (LLaVA-OneVision's newline). ``positions`` [A, W]: of
    ``[before][image][closing]`` along A axes (Qwen2-VL's M-RoPE: time, height, width); what follows goes on
    after the largest. Without it they are 0, 1, 2, …
    """

    before: str = ""
    after: str = ""
    turn: str = ""
    lead: str = " "
    closing: Tensor | None = None
    positions: Tensor | None = None
