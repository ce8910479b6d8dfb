"""The alignment task (Fed-MA): a projector, or adapters, trained by caption loss through a frozen LLM."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, replace

import torch
from torch import Tensor
from torch.nn import functional as F

from fedbench.alignment.trainable import Trainable
from fedbench.api.local_rule import Signals
from fedbench.data.tokens import TokenTable
from fedbench.federation.task import Task
from fedbench.models.language import LanguageModel
from fedbench.models.ragged import Ragged
from fedbench.params import ParamSpace


@dataclass(frozen=True)
class AlignmentTask(Task):
    """min_ψ −Σ_j log p(x^t_j | ψ(f(v)), x^t_<j) (Fed-CMP, arXiv 2603.26786, §3); only answer tokens count."""

    llm: LanguageModel
    """The frozen LLM."""
    trainable: Trainable
    """ψ, which maps image features to the LLM's visual tokens, adapters of the LLM, or both."""
    features: Tensor
    """[images, T, F]: the frozen vision tower's output for every image view."""
    table: TokenTable
    """The tokens of every training pair."""

    @property
    def space(self) -> ParamSpace:
        """Names and shapes of the trained parameters."""
        return self.trainable.space

    @property
    def device(self) -> torch.device:
        """The device of the LLM and the features."""
        return self.llm.device

    @property
    def bases(self) -> ParamSpace:
        """The LLM's adapted weights."""
        return self.trainable.bases

    def on(self, offset: Mapping[str, Tensor]) -> AlignmentTask:
        """The task with the adapted weights moved by ``offset`` times the adapters' scale."""
        return replace(self, trainable=self.trainable.moved(offset)) if offset else self

    def models(self, params: Tensor) -> Tensor:
        """The trained parameters, and behind them how far the adapted weights are moved."""
        return self.trainable.models(params)

    def project(self, model: Tensor, images: Sequence[int]) -> Tensor:
        """Visual tokens [len(images), T, D] of one model."""
        return self.trainable.visual(model[None], self.features[list(images)][None])[0]

    def adapted(self, model: Tensor) -> AbstractContextManager[None]:
        """A context in which the LLM is as one model has it."""
        return self.trainable.attached(model[None])

    def loss(self, params: Tensor, index: Tensor) -> Tensor:
        """Mean cross-entropy over each client's answer tokens in nats, [C]."""
        image_tokens = self._visual(params, index)
        visual = self.llm.with_template(image_tokens)
        clients, per_client, tokens, _ = visual.shape
        rows = index.flatten()
        ids, text_mask, answer = self.table.gather(rows)
        text, has_image = self.llm.embed(ids), self.table.has_image(rows)
        there = torch.cat([self.llm.template_mask(has_image, image_tokens.shape[2]), text_mask], dim=1)
        ragged = Ragged(there & (rows >= 0)[:, None])
        packed = ragged.pack(torch.cat([visual.flatten(0, 1), text], dim=1))
        with self.trainable.attached(params, ragged.real):
            hidden = self.llm.hidden_ragged(
                packed, ragged.closed, has_image=ragged.pack(has_image[:, None].expand_as(there))
            )
        # An answer's first token is predicted by what stands before it, if anything does.
        answer = answer & (there.cumsum(1)[:, tokens:] > 1)
        row, place = answer.nonzero(as_tuple=True)
        logits = self.llm.logits(hidden[ragged.number[row, place + tokens - 1]])
        losses = F.cross_entropy(logits.float(), ids[row, place], reduction="none")
        owner = row // per_client == torch.arange(clients, device=row.device)[:, None]
        # where(), not a product: one client's NaN stays its own.
        return torch.where(owner, losses, 0.0).sum(1) / owner.sum(1).clamp_min(1)

    def padded_for(self, index: Tensor) -> AlignmentTask:
        """The task that pads to the longest text of the examples ``index``."""
        return replace(self, table=self.table.padded_for(index))

    def signals(self, params: Tensor, index: Tensor) -> Signals:
        """Projected visual tokens and the mean embedding of the answers' tokens (without eos); examples
        without an image are masked out."""
        ids, _, answer = self.table.gather(index)
        words = answer & F.pad(answer[..., 1:], (0, 1))
        text = self.llm.embed(ids)
        total = (text * words[..., None]).sum(-2)
        mean = total / words.sum(-1, keepdim=True).clamp_min(1)
        mask = ((index >= 0) & self.table.has_image(index)).to(params.dtype)
        return Signals(self._visual(params, index), mean, mask, lambda other: self.signals(other, index))

    def _visual(self, params: Tensor, index: Tensor) -> Tensor:
        images = self.table.image[index.clamp_min(0)]
        return self.trainable.visual(params, self.features[images.clamp_min(0)])
