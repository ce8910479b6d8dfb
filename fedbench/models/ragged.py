"""Attention over ragged batches: everything but attention runs on real tokens only.

A batch of short texts of different lengths is mostly padding. Here the tokens of all sequences lie one
after another in one row, so embeddings, norms, projections and the MLP see no padding; only attention itself,
a small part of the work at these lengths, spreads them out. Registered with transformers' attention
interface, so the LLM's own code is what runs.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import torch
from torch import Tensor
from transformers import AttentionInterface, AttentionMaskInterface
from transformers.integrations.sdpa_attention import sdpa_attention_forward
from transformers.masking_utils import sdpa_mask

NAME = "fedbench_ragged"


@dataclass(frozen=True)
class Ragged:
    """The M tokens of a padded batch of N sequences of up to L."""

    real: Tensor
    """[N, L]: which positions of the padded batch hold a token."""
    mask: Tensor | None = None
    """[N, 1, L, L]: True where a token (dimension 2) may attend to another (3); causal when None."""

    @cached_property
    def where(self) -> Tensor:
        """[M]: the tokens' indices in the flattened batch."""
        return self.real.flatten().nonzero().squeeze(1)

    @cached_property
    def positions(self) -> Tensor:
        """[M]: each token's position in its own sequence (which has no gaps)."""
        position: Tensor = self.real.cumsum(1) - 1
        return position.flatten().index_select(0, self.where)

    @cached_property
    def number(self) -> Tensor:
        """[N, L]: the index of each token among the M; meaningless where there is none."""
        return (self.real.flatten().cumsum(0) - 1).view_as(self.real)

    @cached_property
    def closed(self) -> Ragged:
        """The same tokens in the same order, every sequence moved to the left, so that it has no gaps."""
        return Ragged(torch.arange(self.real.shape[1], device=self.real.device) < self.real.sum(1, True))

    def pack(self, padded: Tensor) -> Tensor:
        """Take the tokens of a padded batch: [N, L, ...] to [M, ...]."""
        return padded.flatten(0, 1).index_select(0, self.where)

    def spread(self, packed: Tensor) -> Tensor:
        """Put tokens into a padded batch: [M, ...] to [N, L, ...], zeros where there is none."""
        empty: Tensor = packed.new_zeros(self.real.numel(), *packed.shape[1:])
        return empty.index_copy(0, self.where, packed).view(*self.real.shape, *packed.shape[1:])


def _attention(
    module: Any,
    query: Tensor,
    key: Tensor,
    value: Tensor,
    attention_mask: Tensor | None,
    ragged: Ragged | None = None,
    **kwargs: Any,
) -> tuple[Tensor, None]:
    """Attention within each sequence, by its mask; query, key, value [1, heads, M, width]."""
    if ragged is None:
        return sdpa_attention_forward(module, query, key, value, attention_mask, **kwargs)
    q, k, v = (ragged.spread(part[0].transpose(0, 1)).transpose(1, 2) for part in (query, key, value))
    output, _ = sdpa_attention_forward(module, q, k, v, ragged.mask, is_causal=ragged.mask is None, **kwargs)
    return ragged.pack(output)[None], None


AttentionInterface.register(NAME, _attention)
AttentionMaskInterface.register(NAME, sdpa_mask)

NO_MASK = torch.ones(1, 1, 1, 1, dtype=torch.bool)
"""A ready-made mask, which keeps transformers from building one that is never read."""
