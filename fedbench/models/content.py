"""The engine's own hash of a backbone's content."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import fields
from typing import Any

import torch
from torch import Tensor

from fedbench.fingerprint import canonical_json
from fedbench.models.backbone import Backbone


def backbone_sha256(backbone: Backbone) -> str:
    """Hash the LLM's weights and configuration, the tokenizer, the projector and the chat template.

    The vision encoder is a function, so its hash is the one that the backbone gives (``encoder``); what is
    cached of it is compared with the function's own features before it is used.
    """
    digest = hashlib.sha256(canonical_json([backbone.name, backbone.encoder]).encode())
    for name, value in _parts(backbone):
        digest.update(canonical_json(name).encode())
        if isinstance(value, Tensor):
            digest.update(canonical_json([str(value.dtype), list(value.shape)]).encode())
            digest.update(value.detach().cpu().contiguous().reshape(-1).view(torch.uint8).numpy().tobytes())
        else:
            digest.update(canonical_json(value).encode())
    return digest.hexdigest()


def _parts(backbone: Backbone) -> Iterator[tuple[str, Any]]:
    """Everything that changes what the backbone computes, by name; tensors and JSON."""
    for name, tensor in sorted(backbone.llm.state_dict().items()):
        yield f"llm.{name}", tensor
    settings = backbone.llm.config.to_dict()
    yield "llm.config", {key: str(settings[key]) for key in sorted(settings) if not key.startswith("_")}
    yield "tokenizer", _words(backbone.tokenizer)
    if backbone.projector is not None:
        yield "projector", backbone.projector
    for field in fields(backbone.chat_template):
        value = getattr(backbone.chat_template, field.name)
        yield f"chat_template.{field.name}", value


def _words(tokenizer: Any) -> Any:
    """All of a fast tokenizer; another's vocabulary and special tokens."""
    if tokenizer is None:
        return None
    if tokenizer.is_fast:
        return tokenizer.backend_tokenizer.to_str()
    return [sorted(tokenizer.get_vocab().items()), tokenizer.special_tokens_map]
