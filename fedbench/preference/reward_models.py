"""Reward models of the preference track: how a client fits one, what it scores, and the true reward."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Protocol

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from fedbench.api.reward_fuser import AVERAGE, GOLD, ResponseBatch, client_name
from fedbench.evaluation.metrics import matches
from fedbench.federation.faults import FaultModel
from fedbench.federation.task import Task
from fedbench.models.rewards import RewardModel
from fedbench.params import ParamSpace
from fedbench.preference.responses import BackboneView, TokenizedResponses
from fedbench.rng import numpy_stream

EPSILON = 1e-6
"""ε of the normalisation (eq. 2), against a deviation of zero."""


class RewardScorer(Protocol):
    """What rewards answers. Fusers know it by its name only, a :class:`.reward_fuser.RewardSource`."""

    @property
    def name(self) -> str:
        """``client K``, ``average`` or ``gold``."""
        ...

    @property
    def client(self) -> int | None:
        """The client that holds it; None: the server."""
        ...

    def score(self, responses: ResponseBatch) -> Tensor:
        """Rewards [N] of N answers."""
        ...


@dataclass(frozen=True)
class RewardTask(Task):
    """Fit reward models by −log σ(R(x, y⁺) − R(x, y⁻)) (Bradley–Terry; MoR, arXiv 2605.03426, eq. 1).

    ``chosen`` and ``rejected``: the answers of all clients' N preferences. ``sign`` [N]: −1 where a
    preference is the wrong way round. ``view``: the client's own backbone, if it is not the policy's.
    """

    model: RewardModel
    chosen: TokenizedResponses
    rejected: TokenizedResponses
    sign: Tensor
    view: BackboneView | None = None

    @property
    def space(self) -> ParamSpace:
        """The reward model's parameters."""
        return self.model.space

    @property
    def device(self) -> torch.device:
        """Where the responses are."""
        return self.chosen.ids.device

    def margins(self, params: Tensor, index: Tensor) -> Tensor:
        """R(x, y⁺) − R(x, y⁻) of preferences ``index`` [C, B] under parameters [C, P], [C, B]."""
        return self.model(params, self.chosen.responses(index)) - self.model(
            params, self.rejected.responses(index)
        )

    def loss(self, params: Tensor, index: Tensor) -> Tensor:
        """Each client's mean loss [C] on preferences ``index`` [C, B]."""
        real = index >= 0
        margins = self.sign[index.clamp_min(0)] * self.margins(params, index)
        losses = torch.where(real, -F.logsigmoid(margins), 0.0)
        return losses.sum(1) / real.sum(1).clamp_min(1)


@dataclass(frozen=True)
class ClientRewardModel:
    """A client's reward model: R̄ = (R − μ) / (σ + ε), μ and σ over its own training answers (eq. 2).

    ``client``: None for a model of the server's, such as the clients' average. ``params`` [P] of ``model``;
    ``mean`` and ``deviation``: μ and σ; ``view``: the client's own backbone, if it is not the policy's.
    """

    client: int | None
    model: RewardModel
    params: Tensor
    mean: float
    deviation: float
    view: BackboneView | None = None

    @property
    def name(self) -> str:
        """``client K``, or ``average`` for the server's."""
        return AVERAGE if self.client is None else client_name(self.client)

    @torch.no_grad()
    def score(self, responses: ResponseBatch) -> Tensor:
        """Rewards [N] of N responses."""
        own = self.view.reread(responses) if self.view else responses
        batch = ResponseBatch(
            visual=own.visual[None],
            ids=own.ids[None],
            text=own.text[None],
            mask=own.mask[None],
            images=own.images[None],
        )
        raw = self.model(self.params[None], batch)[0]
        return (raw - self.mean) / (self.deviation + EPSILON)

    @property
    def uncalibrated(self) -> ClientRewardModel:
        """The same model with its rewards R as they are."""
        return replace(self, mean=0.0, deviation=1.0 - EPSILON)


def calibrated(client: int | None, task: RewardTask, params: Tensor, index: Tensor) -> ClientRewardModel:
    """The reward model with parameters [P], μ and σ taken over both answers of preferences ``index`` [B]."""
    raw = ClientRewardModel(client=client, model=task.model, params=params, mean=0.0, deviation=1.0 - EPSILON)
    both = torch.cat([raw.score(side.responses(index)) for side in (task.chosen, task.rejected)])
    return replace(raw, mean=float(both.mean()), deviation=float(both.std()), view=task.view)


@dataclass(frozen=True)
class GoldAnswerReward:
    """The true reward: 1 where an answer is one of the right ones (by image and prompt), else 0."""

    right: Mapping[tuple[int, str], tuple[str, ...]]
    name: str = GOLD
    client: None = None

    def score(self, responses: ResponseBatch) -> Tensor:
        """Rewards [N] of N responses."""
        images = responses.images.tolist()
        rows: dict[str, list[Any]] = {
            "prediction": [answer for _, answer in responses.words],
            "references": [
                self.right[image, prompt] for image, (prompt, _) in zip(images, responses.words, strict=True)
            ],
            "parsed": [bool(answer) for _, answer in responses.words],
        }
        return torch.from_numpy(matches(rows)).to(responses.visual)


def preference_signs(
    shards: Sequence[np.ndarray], noise: Sequence[float], fault_model: FaultModel, count: int
) -> Tensor:
    """[N], −1 for the preferences of ``count`` that a client has the wrong way round: a share of ``noise`` of
    them, drawn from the seed, and all of an attacker's by ``label-flip``."""
    flippers = fault_model.byzantine if fault_model.spec.attack == "label-flip" else ()
    signs = torch.ones(count)
    for client, shard in enumerate(shards):
        rate = noise[client % len(noise)]
        wrong = numpy_stream(fault_model.seed, "noise", client).random(len(shard)) < rate
        signs[shard[wrong]] = -1
        if client in flippers:
            signs[shard] *= -1
    return signs
