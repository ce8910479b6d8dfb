"""Reward models: one number for an answer to a question about an image, as a client prefers answers.

Three architectures over the same frozen parts (cached vision features [T, F], the LLM and its embeddings), so
that a federation can be heterogeneous: a VLM with a scalar head, a dual encoder, a cross-attention model.
Parameters come with each call, one set per client.
"""

from __future__ import annotations

from typing import Protocol

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from fedbench.api.reward_fuser import ResponseBatch
from fedbench.models.functional import Functional
from fedbench.models.language import LanguageModel
from fedbench.models.projector import Projector
from fedbench.models.ragged import Ragged
from fedbench.params import ParamSpace


class RewardModel(Protocol):
    """R(x, y) of C clients at once (MoR, arXiv 2605.03426, §3.1)."""

    @property
    def space(self) -> ParamSpace:
        """Names and shapes of one client's P parameters."""
        ...

    def init(self, generator: torch.Generator) -> Tensor:
        """Draw initial parameters [P]."""
        ...

    def __call__(self, params: Tensor, responses: ResponseBatch) -> Tensor:
        """Rewards [C, B] of C × B answers under parameters [C, P]."""
        ...


class VLMReward:
    """A VLM with a scalar head on the last token's hidden state: the projector (the backbone's, if it has
    one) and the head are trained, the LLM is frozen."""

    def __init__(self, llm: LanguageModel, features: int, hidden: int) -> None:
        self.llm = llm
        start = llm.backbone.projector
        width = llm.backbone.width
        self.projector = (
            Projector(features, hidden, width) if start is None else Projector.holding(start, features, width)
        )
        self.space = ParamSpace({**self.projector.space.shapes, "head.weight": (llm.backbone.width,)})

    def init(self, generator: torch.Generator) -> Tensor:
        """Initial parameters [P]; the head starts at zero, so that all answers are worth the same."""
        start = self.llm.backbone.projector
        projector = self.projector.init(generator) if start is None else start
        return F.pad(projector, (0, self.llm.backbone.width))

    def __call__(self, params: Tensor, responses: ResponseBatch) -> Tensor:
        size = self.projector.space.size
        visual = self.llm.with_template(self.projector(params[:, :size], responses.visual)).flatten(0, 1)
        mask = responses.mask.flatten(0, 1)
        ragged = Ragged(F.pad(mask, (visual.shape[1], 0), value=True))
        inputs = torch.cat([visual, responses.text.flatten(0, 1)], dim=1)
        hidden = self.llm.hidden_ragged(ragged.pack(inputs), ragged)
        last = hidden[ragged.number[:, -1]].view(*responses.ids.shape[:2], -1)
        return torch.einsum("cbd,cd->cb", last, params[:, size:])


class _Pooled(nn.Module):
    """Mean visual feature and mean word embedding, each through a layer, multiplied."""

    def __init__(self, features: int, width: int, hidden: int) -> None:
        super().__init__()
        self.image, self.text = nn.Linear(features, hidden), nn.Linear(width, hidden)
        self.mix, self.head = nn.Linear(hidden, hidden), nn.Linear(hidden, 1, bias=False)

    def forward(self, visual: Tensor, text: Tensor, mask: Tensor) -> Tensor:
        both = F.gelu(self.image(visual.mean(-2))) * F.gelu(self.text(_mean(text, mask)))
        return self.head(F.gelu(self.mix(both))).squeeze(-1)  # type: ignore[no-any-return]


class _Crossed(nn.Module):
    """Every word attends to the image's tokens; what comes of it is pooled over the words."""

    def __init__(self, features: int, width: int, hidden: int) -> None:
        super().__init__()
        self.query, self.key = nn.Linear(width, hidden), nn.Linear(features, hidden)
        self.value, self.word = nn.Linear(features, hidden), nn.Linear(width, hidden)
        self.mix, self.head = nn.Linear(2 * hidden, hidden), nn.Linear(hidden, 1, bias=False)

    def forward(self, visual: Tensor, text: Tensor, mask: Tensor) -> Tensor:
        scores = self.query(text) @ self.key(visual).mT / self.query.out_features**0.5
        seen = scores.softmax(-1) @ self.value(visual)
        words = F.gelu(self.mix(torch.cat([seen, self.word(text)], dim=-1)))
        return self.head(_mean(words, mask)).squeeze(-1)  # type: ignore[no-any-return]


def _mean(words: Tensor, mask: Tensor) -> Tensor:
    """[..., L, D] over the real words, [..., D]; zero where there is none."""
    weight = mask.to(words.dtype)[..., None]
    return (words * weight).sum(-2) / weight.sum(-2).clamp_min(1)


class EmbeddingReward:
    """A small network over the frozen vision features and the frozen LLM's input embeddings."""

    def __init__(self, module: nn.Module) -> None:
        self._network = Functional(module)

    @property
    def space(self) -> ParamSpace:
        """Names and shapes of the network's P parameters."""
        return self._network.space

    def init(self, generator: torch.Generator) -> Tensor:
        """Draw initial parameters [P]."""
        return self._network.init(generator)

    def __call__(self, params: Tensor, responses: ResponseBatch) -> Tensor:
        return self._network(params, responses.visual, responses.text, responses.mask)


ARCHITECTURES = ("vlm", "dual", "cross")
"""Names that :func:`make_reward` knows."""


def make_reward(name: str, llm: LanguageModel, features: int, hidden: int) -> RewardModel:
    """Make the reward model of architecture ``name`` (``vlm``, ``dual`` or ``cross``) over vision features of
    width ``features``; ``hidden`` is the width of what it trains."""
    width = llm.backbone.width
    if name == "vlm":
        return VLMReward(llm, features, hidden)
    return EmbeddingReward({"dual": _Pooled, "cross": _Crossed}[name](features, width, hidden))
