"""What is judged in the preference track, and by whom: answers as tensors, fitted and calibrated models."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional as F
from torch.nn.utils.rnn import pad_sequence

from fedbench.fusers import Judged
from fedbench.methods import Signals
from fedbench.models.language import LanguageModel
from fedbench.models.rewards import RewardModel
from fedbench.params import ParamSpace

SMALLEST = 1e-6


@dataclass(frozen=True)
class Answered:
    """N questions about images with an answer each: ``images`` [N] rows of ``features`` [images, T, F],
    ``ids`` [N, L] prompt and answer closed by eos, ``length`` [N]."""

    llm: LanguageModel
    features: Tensor
    images: Tensor
    ids: Tensor
    length: Tensor

    @classmethod
    def of(
        cls,
        llm: LanguageModel,
        features: Tensor,
        images: Sequence[int],
        prompts: Sequence[str],
        answers: Sequence[str],
    ) -> Answered:
        rows = [
            torch.tensor([*prompt, *answer])
            for prompt, answer in zip(llm.prompt_ids(prompts), llm.answer_ids(answers), strict=True)
        ]
        ids = pad_sequence(rows, batch_first=True, padding_value=llm.eos).to(features.device)
        length = torch.tensor([len(row) for row in rows], device=features.device)
        return cls(llm, features, torch.tensor(list(images), device=features.device), ids, length)

    def judged(self, index: Tensor) -> Judged:
        """Rows ``index`` [...] (−1 for none, which has no text) as they are judged."""
        real, rows = index >= 0, index.clamp_min(0)
        length = self.length[rows] * real
        ids = self.ids[rows][..., : max(1, int(length.max()))]
        mask = torch.arange(ids.shape[-1], device=ids.device) < length[..., None]
        return Judged(self.features[self.images[rows]], ids, self.llm.embed(ids), mask)


@dataclass(frozen=True)
class RewardTask:
    """Fit reward models by −log σ(R(x, y⁺) − R(x, y⁻)) (Bradley–Terry; MoR, arXiv 2605.03426, eq. 1)."""

    model: RewardModel
    chosen: Answered
    rejected: Answered

    @property
    def space(self) -> ParamSpace:
        return self.model.space

    @property
    def device(self) -> torch.device:
        return self.chosen.ids.device

    def margins(self, params: Tensor, index: Tensor) -> Tensor:
        """R(x, y⁺) − R(x, y⁻) of preferences ``index`` [C, B] under parameters [C, P], [C, B]."""
        return self.model(params, self.chosen.judged(index)) - self.model(params, self.rejected.judged(index))

    def loss(self, params: Tensor, index: Tensor) -> Tensor:
        real = index >= 0
        losses = torch.where(real, -F.logsigmoid(self.margins(params, index)), 0.0)
        return losses.sum(1) / real.sum(1).clamp_min(1)

    def signals(self, params: Tensor, index: Tensor) -> Signals:
        raise NotImplementedError("reward models have no visual tokens to show to a local rule")


@dataclass(frozen=True)
class ClientJudge:
    """A client's reward model: R̄ = (R − μ) / (σ + ε), μ and σ over its own training answers (eq. 2)."""

    name: str
    model: RewardModel
    params: Tensor
    mean: float
    deviation: float
    remote: bool = True

    @torch.no_grad()
    def score(self, judged: Judged) -> Tensor:
        """N answers to rewards [N]."""
        batch = Judged(judged.visual[None], judged.ids[None], judged.text[None], judged.mask[None])
        raw = self.model(self.params[None], batch)[0]
        return (raw - self.mean) / (self.deviation + SMALLEST)


def calibrated(name: str, task: RewardTask, params: Tensor, index: Tensor) -> ClientJudge:
    """The judge of a client whose preferences are ``index`` [B]."""
    raw = ClientJudge(name, task.model, params, 0.0, 1.0 - SMALLEST)
    both = torch.cat([raw.score(side.judged(index)) for side in (task.chosen, task.rejected)])
    return ClientJudge(name, task.model, params, float(both.mean()), float(both.std()))
