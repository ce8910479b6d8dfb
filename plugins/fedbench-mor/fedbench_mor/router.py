"""MoR's router g_φ (arXiv 2605.03426, §3.2): a score for each client's reward model, given an answer."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F


class Router(nn.Module):
    """``layers`` pre-norm Transformer layers over visual and text tokens, mean pooling, and a linear head."""

    def __init__(
        self, features: int, embedding: int, clients: int, width: int, layers: int, heads: int
    ) -> None:
        super().__init__()
        self.image, self.text = nn.Linear(features, width), nn.Linear(embedding, width)
        self.blocks = nn.ModuleList(Block(width, heads) for _ in range(layers))
        self.norm, self.head = nn.LayerNorm(width), nn.Linear(width, clients)

    def pooled(self, visual: Tensor, text: Tensor, mask: Tensor) -> Tensor:
        """The head's inputs h [B, W], from features [B, T, F], embeddings [B, L, D] and mask [B, L]."""
        tokens = torch.cat([self.image(visual), self.text(text)], dim=-2)
        real = torch.cat([mask.new_ones(visual.shape[:-1]), mask], dim=-1)
        for block in self.blocks:
            tokens = block(tokens, real)
        weight = real.to(tokens.dtype)[..., None]
        return self.norm((tokens * weight).sum(-2) / weight.sum(-2))  # type: ignore[no-any-return]

    def forward(self, visual: Tensor, text: Tensor, mask: Tensor) -> Tensor:
        """The scores z [B, K]."""
        return self.head(self.pooled(visual, text, mask))  # type: ignore[no-any-return]


class Block(nn.Module):
    """Self-attention and an MLP, each behind a norm and beside a residual."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.before, self.between = nn.LayerNorm(width), nn.LayerNorm(width)
        self.qkv, self.out = nn.Linear(width, 3 * width), nn.Linear(width, width)
        self.up, self.down = nn.Linear(width, 2 * width), nn.Linear(2 * width, width)

    def forward(self, tokens: Tensor, real: Tensor) -> Tensor:
        """Tokens [B, T, W] after the layer; ``real`` [B, T] is True where there is a token."""
        heads = self.qkv(self.before(tokens)).unflatten(-1, (3, self.heads, -1))
        query, key, value = (part.transpose(-2, -3) for part in heads.unbind(-3))
        # Written out: vmap, which gives the router its client axis, has no rule for fused attention.
        scores = (query @ key.mT / query.shape[-1] ** 0.5).masked_fill(~real[..., None, None, :], -torch.inf)
        seen = scores.softmax(-1) @ value
        tokens = tokens + self.out(seen.transpose(-2, -3).flatten(-2))
        return tokens + self.down(F.gelu(self.up(self.between(tokens))))  # type: ignore[no-any-return]


def one_hot_bce(scores: Tensor, client: Tensor) -> Tensor:
    """Mean BCE(z, e_k) over answers and outputs; scores [C, B, K], client [C] to [C] (eq. 4)."""
    target = F.one_hot(client, scores.shape[-1]).to(scores.dtype)[:, None].expand_as(scores)
    return F.binary_cross_entropy_with_logits(scores, target, reduction="none").mean((1, 2))


def cross_entropy(scores: Tensor, client: Tensor) -> Tensor:
    """Mean −log softmax(z)_k; scores [C, B, K], client [C] to [C]."""
    logp = scores.log_softmax(-1).gather(-1, client[:, None, None].expand(*scores.shape[:2], 1))
    return -logp.mean((1, 2))
