"""Reward fusion without a router: r(x, y) from the clients' calibrated rewards R̄_k(x, y), and a bound.

PluralLLM is from arXiv 2604.04261; the others are the usual baselines of reward ensembles.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import torch

from fedbench import (
    Options,
    PolicyStepFeedback,
    ResponseBatch,
    RewardFederation,
    RewardFuser,
    RewardSource,
    State,
)
from fedbench_baselines.options import PluralLLMOptions, SingleOptions

if TYPE_CHECKING:
    from torch import Tensor


class RewardMean(RewardFuser):
    """r = mean_k R̄_k(x, y)."""

    def __init__(self, options: Options) -> None:
        pass

    def route(
        self, state: State, responses: ResponseBatch, num_sources: int, stream: torch.Generator
    ) -> Tensor:
        return torch.full((len(responses.ids), num_sources), 1 / max(1, num_sources))


class RewardRandom(RewardMean):
    """r = R̄_k(x, y), k drawn anew for every answer."""

    def route(
        self, state: State, responses: ResponseBatch, num_sources: int, stream: torch.Generator
    ) -> Tensor:
        drawn = torch.randint(num_sources, (len(responses.ids),), generator=stream)
        return torch.nn.functional.one_hot(drawn, num_sources).float()


class RewardMin(RewardMean):
    """r = min_k R̄_k(x, y)."""

    def fuse(self, state: State, rewards: Tensor, weights: Tensor) -> Tensor:
        came = rewards.isfinite()
        lowest = rewards.masked_fill(~came, torch.inf).amin(1)
        return lowest.masked_fill(~came.any(1), torch.nan)


class RewardMax(RewardMean):
    """r = max_k R̄_k(x, y)."""

    def fuse(self, state: State, rewards: Tensor, weights: Tensor) -> Tensor:
        came = rewards.isfinite()
        highest = rewards.masked_fill(~came, -torch.inf).amax(1)
        return highest.masked_fill(~came.any(1), torch.nan)


class RewardSingle(RewardMean):
    """r = R̄_k(x, y) of one client, given or the best on public validation pairs."""

    def __init__(self, options: SingleOptions) -> None:
        self.options = options

    def sources(self, federation: RewardFederation) -> Sequence[RewardSource]:
        number = self.options.client
        if number is None:
            number = int(federation.validation_accuracy().argmax())
        if number >= len(federation.client_models):
            raise ValueError(
                f"there is no client {number}: they are 0 to {len(federation.client_models) - 1}"
            )
        return federation.client_models[number : number + 1]


class RewardFedAvg(RewardMean):
    """r of one reward model, trained by FedAvg (McMahan et al. 2017): parameters travel, rewards don't."""

    def sources(self, federation: RewardFederation) -> Sequence[RewardSource]:
        return [federation.averaged_model()]


class GoldReward(RewardMean):
    """The true reward: an upper bound."""

    privileged = True

    def sources(self, federation: RewardFederation) -> Sequence[RewardSource]:
        return [federation.gold]


class PluralLLM(RewardMean):
    """Adaptive weights that favour the clients whose rewards were low so far.

    A stand-in for PluralLLM-α, whose formula could not be read: APPA's (arXiv 2604.04261).

        h ← m h + (1 − m) r̄ ,   a = softmax((1 − h)/τ)
        r = log mean_k e^{a_k r_k}   while Jain's index of e^h is below ``fair``, else mean_k r_k

    State: ``history`` h [K].
    """

    def __init__(self, options: PluralLLMOptions) -> None:
        self.options = options

    def fit(self, federation: RewardFederation) -> State:
        return {"history": torch.zeros(len(federation.client_models))}

    def fuse(self, state: State, rewards: Tensor, weights: Tensor) -> Tensor:
        mean = super().fuse(state, rewards, weights)
        history = state["history"]
        if self._fair(history):
            return mean
        share = ((1 - history) / self.options.temperature).softmax(0)
        came = rewards.isfinite()
        scaled = (share * rewards).masked_fill(~came, -torch.inf)
        return (scaled.logsumexp(1) - came.sum(1).log()).masked_fill(~came.any(1), torch.nan)

    def feedback(self, state: State, step: PolicyStepFeedback) -> State:
        """The state with each client's mean reward of the step in its history."""
        m = self.options.memory
        reward = step.rewards.nanmean(0)
        history = m * state["history"] + (1 - m) * reward
        return {**state, "history": torch.where(reward.isfinite(), history, state["history"])}

    def _fair(self, history: Tensor) -> bool:
        """Whether Jain's index of e^h (positive whatever the rewards' scale) reaches ``fair``."""
        served = history.exp()
        index = served.sum().square() / (len(served) * served.square().sum())
        return bool(index >= self.options.fair)
