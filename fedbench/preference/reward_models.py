"""What is scored in the preference track, and by whom: answers as tensors, fitted and calibrated models."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import torch
from torch import Tensor
from torch.nn import functional as F
from torch.nn.utils.rnn import pad_sequence

from fedbench.api.reward_fuser import AVERAGE, GOLD, ResponseBatch, client_name
from fedbench.data.items import Preference
from fedbench.evaluation.metrics import matches
from fedbench.federation.task import Task
from fedbench.models.language import LanguageModel
from fedbench.models.rewards import RewardModel
from fedbench.params import ParamSpace

SMALLEST = 1e-6


@dataclass(frozen=True)
class TokenizedResponses:
    """N questions about images with an answer each: ``images`` [N] rows of ``features`` [images, T, F],
    ``ids`` [N, L] prompt and answer closed by eos, ``length`` [N], ``words`` the same as text."""

    llm: LanguageModel
    features: Tensor
    images: Tensor
    ids: Tensor
    length: Tensor
    words: Sequence[tuple[str, str]]

    @classmethod
    def of(
        cls,
        llm: LanguageModel,
        features: Tensor,
        images: Sequence[int],
        prompts: Sequence[str],
        answers: Sequence[str],
    ) -> TokenizedResponses:
        ids = zip(llm.prompt_ids(prompts), llm.answer_ids(answers), strict=True)
        rows = [[*prompt, *answer] for prompt, answer in ids]
        return cls.read(llm, features, images, rows, list(zip(prompts, answers, strict=True)))

    @classmethod
    def read(
        cls,
        llm: LanguageModel,
        features: Tensor,
        images: Sequence[int],
        rows: Sequence[Sequence[int]],
        words: Sequence[tuple[str, str]],
    ) -> TokenizedResponses:
        """From token ids, as a policy has written them."""
        device = features.device
        ids = pad_sequence([torch.tensor(row) for row in rows], batch_first=True, padding_value=llm.eos)
        length = torch.tensor([len(row) for row in rows], device=device)
        return cls(llm, features, torch.tensor(list(images), device=device), ids.to(device), length, words)

    def __len__(self) -> int:
        return len(self.words)

    @property
    def everything(self) -> ResponseBatch:
        """All of it as it is scored."""
        return self.responses(torch.arange(len(self), device=self.ids.device))

    def responses(self, index: Tensor) -> ResponseBatch:
        """Rows ``index`` [...] (−1 for none, which has no text) as they are scored."""
        real, rows = index >= 0, index.clamp_min(0)
        length = self.length[rows] * real
        ids = self.ids[rows][..., : max(1, int(length.max()))]
        mask = torch.arange(ids.shape[-1], device=ids.device) < length[..., None]
        images = self.images[rows]
        words = [self.words[i] for i in index.tolist()] if index.dim() == 1 else ()
        return ResponseBatch(self.features[images], ids, self.llm.embed(ids), mask, images, words)


@dataclass(frozen=True)
class BackboneView:
    """How a client sees and reads with a backbone of its own: its vision features and its LLM."""

    llm: LanguageModel
    features: Tensor

    def read(
        self, preferences: Sequence[Preference], side: Literal["chosen", "rejected"]
    ) -> TokenizedResponses:
        """One side of preferences."""
        images, prompts = [p.image for p in preferences], [p.prompt for p in preferences]
        answers = [getattr(preference, side) for preference in preferences]
        return TokenizedResponses.of(self.llm, self.features, images, prompts, answers)

    def __call__(self, responses: ResponseBatch) -> ResponseBatch:
        prompts, answers = zip(*responses.words, strict=True)
        return TokenizedResponses.of(
            self.llm, self.features, responses.images.tolist(), prompts, answers
        ).everything


@dataclass(frozen=True)
class RewardTask(Task):
    """Fit reward models by −log σ(R(x, y⁺) − R(x, y⁻)) (Bradley–Terry; MoR, arXiv 2605.03426, eq. 1).

    ``sign`` [N] is −1 where the two answers are swapped: the scenario's label noise. ``view``: of a client
    whose backbone is not the policy's.
    """

    model: RewardModel
    chosen: TokenizedResponses
    rejected: TokenizedResponses
    sign: Tensor
    view: BackboneView | None = None

    @property
    def space(self) -> ParamSpace:
        return self.model.space

    @property
    def device(self) -> torch.device:
        return self.chosen.ids.device

    def margins(self, params: Tensor, index: Tensor) -> Tensor:
        """R(x, y⁺) − R(x, y⁻) of preferences ``index`` [C, B] under parameters [C, P], [C, B]."""
        return self.model(params, self.chosen.responses(index)) - self.model(
            params, self.rejected.responses(index)
        )

    def loss(self, params: Tensor, index: Tensor) -> Tensor:
        real = index >= 0
        margins = self.sign[index.clamp_min(0)] * self.margins(params, index)
        losses = torch.where(real, -F.logsigmoid(margins), 0.0)
        return losses.sum(1) / real.sum(1).clamp_min(1)


@dataclass(frozen=True)
class ClientRewardModel:
    """A client's reward model: R̄ = (R − μ) / (σ + ε), μ and σ over its own training answers (eq. 2).

    ``client`` None: a model of the server's, such as the clients' average.
    """

    client: int | None
    model: RewardModel
    params: Tensor
    mean: float
    deviation: float
    view: BackboneView | None = None

    @property
    def name(self) -> str:
        return AVERAGE if self.client is None else client_name(self.client)

    @torch.no_grad()
    def score(self, responses: ResponseBatch) -> Tensor:
        """N answers to rewards [N]."""
        seen = self.view(responses) if self.view else responses
        batch = ResponseBatch(
            seen.visual[None], seen.ids[None], seen.text[None], seen.mask[None], seen.images[None]
        )
        raw = self.model(self.params[None], batch)[0]
        return (raw - self.mean) / (self.deviation + SMALLEST)

    @property
    def uncalibrated(self) -> ClientRewardModel:
        """The same with its rewards as they are."""
        return ClientRewardModel(self.client, self.model, self.params, 0.0, 1.0 - SMALLEST, self.view)


def calibrated(client: int | None, task: RewardTask, params: Tensor, index: Tensor) -> ClientRewardModel:
    """The source of a client whose preferences are ``index`` [B]."""
    raw = ClientRewardModel(client, task.model, params, 0.0, 1.0 - SMALLEST)
    both = torch.cat([raw.score(side.responses(index)) for side in (task.chosen, task.rejected)])
    return ClientRewardModel(client, task.model, params, float(both.mean()), float(both.std()), task.view)


@dataclass(frozen=True)
class GoldAnswerReward:
    """The true reward: 1 where an answer is the right one (``right``, by image and prompt), else 0."""

    right: Mapping[tuple[int, str], str]
    name: str = GOLD
    client: None = None

    def score(self, responses: ResponseBatch) -> Tensor:
        asked = list(zip(responses.images.tolist(), responses.words, strict=True))
        rows: dict[str, list[Any]] = {
            "prediction": [answer for _, (_, answer) in asked],
            "reference": [self.right[image, prompt] for image, (prompt, _) in asked],
            "parsed": [bool(answer) for _, (_, answer) in asked],
        }
        return torch.from_numpy(matches(rows)).to(responses.visual)
