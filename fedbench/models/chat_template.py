"""Chat templates: the texts around an image and a question in the sequence that an LLM reads."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor


@dataclass(frozen=True)
class ChatTemplate:
    """A chat model's ``[before][image][closing][after][question][turn][lead + answer][eos]``.

    >>> from fedbench import ChatTemplate
    >>> vicuna = ChatTemplate(before="USER: ", after="\\n", turn=" ASSISTANT:")
    >>> vicuna.lead
    ' '
    """

    before: str = ""
    """Text before the image."""
    after: str = ""
    """Text between the image and the question."""
    turn: str = ""
    """Text between the question and the answer."""
    lead: str = " "
    """What an answer begins with; it is tokenised together with the answer."""
    closing: Tensor | None = None
    """[n, D]: embeddings that end every image (LLaVA-OneVision's newline)."""
    positions: Tensor | None = None
    """[A, W]: positions of ``[before][image][closing]`` along A axes (Qwen2-VL: time, height, width);
    what follows goes on after the largest. 0, 1, 2, … when None."""
