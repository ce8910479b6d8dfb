"""How accurate, calibrated and private the clients' reward models are, and which of them a fuser believes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from scipy.special import entr, expit
from scipy.stats import mannwhitneyu
from torch import Tensor

from fedbench.api.aggregator import State
from fedbench.api.metrics import Measure
from fedbench.api.reward_fuser import ResponseBatch, RewardFuser
from fedbench.evaluation.estimates import mean
from fedbench.preference.responses import TokenizedResponses
from fedbench.preference.reward_models import ClientRewardModel, RewardScorer
from fedbench.rng import torch_stream

DRAWS = 8
"""Draws of each routing that the report averages; one is too few to tell routers apart."""


@dataclass(frozen=True)
class Comparisons:
    """The server's public preferences: ``better`` and ``worse`` answers, [N] each, and ``owners`` [N], the
    client whose domain each is of, −1 for none."""

    better: TokenizedResponses
    worse: TokenizedResponses
    owners: np.ndarray

    @property
    def groups(self) -> list[str]:
        """The image of each comparison: comparisons about one image depend on each other."""
        return [str(image) for image in self.better.images.tolist()]

    def scores(self, source: RewardScorer) -> tuple[Tensor, Tensor]:
        """A source's rewards [N] of the better answers and of the worse."""
        return source.score(self.better.everything).cpu(), source.score(self.worse.everything).cpu()

    def measure(self, values: np.ndarray, rows: np.ndarray, unit: str = "share", **more: str) -> Measure:
        """The mean of ``values`` [n] over comparisons ``rows`` [n], its error clustered by image."""
        groups = np.asarray(self.groups)[rows]
        return Measure(**mean(values).measure(groups.tolist(), unit, **more))


@dataclass(frozen=True)
class TrainingPreferences:
    """What a client's reward model was fitted on: N answers of each kind, and ``sign`` [N], −1 where the
    client prefers the rejected one."""

    chosen: ResponseBatch
    rejected: ResponseBatch
    sign: Tensor

    def preferred(self, source: RewardScorer) -> np.ndarray:
        """Rewards [N] of the answers that the client prefers."""
        sides = source.score(self.chosen), source.score(self.rejected)
        return torch.where(self.sign > 0, *sides).cpu().numpy()


def reward_report(
    models: Sequence[ClientRewardModel], preferences: Sequence[TrainingPreferences], comparisons: Comparisons
) -> tuple[dict[str, Measure], list[dict[str, Any]]]:
    """Measures over all clients, and a line for each. ``preferences[k]``: what client k was fitted on.

    ``membership_auc``: of an attacker who takes a high reward for a sign that an answer was trained on, a
    mean over clients; normalisation, the same for all of a client's rewards, does not alter it. ``…_mixed``:
    of one who can't tell which client a reward is from, all pairs of clients weighing the same;
    ``…_mixed_raw``: the same on rewards that are not normalised.
    """
    scores = [comparisons.scores(model) for model in models]
    margins = [better - worse for better, worse in scores]
    right, margin = np.stack([_right(m) for m in margins]), torch.stack(margins).double().numpy()
    confidence = expit(margin * np.array([[model.deviation] for model in models]))
    own = comparisons.owners == np.array([[model.client] for model in models])
    everything = np.tile(np.arange(right.shape[1]), len(models))
    own_rows = own.nonzero()[1]
    seen = [trained.preferred(model) for model, trained in zip(models, preferences, strict=True)]
    unseen = [better.numpy()[rows] for (better, _), rows in zip(scores, own, strict=True)]
    aucs, answers = _aucs(seen, unseen), sum(map(len, (*seen, *unseen)))
    raw_aucs = _aucs(_raw(models, seen), _raw(models, unseen))
    measures = {
        "rewards/pairwise_accuracy": comparisons.measure(right.ravel(), everything),
        "rewards/own_accuracy": comparisons.measure(right[own], own_rows),
        "rewards/brier": comparisons.measure((1 - confidence[own]) ** 2, own_rows, better="lower"),
        "rewards/membership_auc": _mean_auc(np.diagonal(aucs), answers),
        "rewards/membership_auc_mixed": _mean_auc(aucs, answers),
        "rewards/membership_auc_mixed_raw": _mean_auc(raw_aucs, answers),
    }
    lines = [
        {
            "client": model.client,
            "mean": model.mean,
            "deviation": model.deviation,
            "accuracy": float(right[k].mean()),
            "own_accuracy": _share(right[k][own[k]]),
        }
        for k, model in enumerate(models)
    ]
    return measures, lines


class RoutingReport:
    """Scores the server's comparisons by each source once; then measures routings over them."""

    def __init__(self, sources: Sequence[RewardScorer], comparisons: Comparisons, seed: int) -> None:
        self.comparisons, self.seed = comparisons, seed
        sides = zip(*(comparisons.scores(source) for source in sources), strict=True)
        self.rewards = [torch.stack(side, dim=1) for side in sides]
        clients = np.array([-2 if source.client is None else source.client for source in sources])
        self.own = torch.from_numpy(comparisons.owners[:, None] == clients)

    def measures(self, fuser: RewardFuser, state: State) -> dict[str, Measure]:
        """``pairwise_accuracy`` of the fused reward (a tie is half right), the weight on the client whose
        domain it is, and the entropy of the mean routing: 0 where the router has collapsed. Means over DRAWS
        of every answer's routing."""
        c, draws, shares = self.comparisons, [], []
        for draw in range(DRAWS):
            fused = []
            for name, side, rewards in zip("+-", (c.better, c.worse), self.rewards, strict=True):
                stream = torch_stream(self.seed, "audit", name, draw)
                weights = fuser.route(state, side.everything, rewards.shape[1], stream).cpu()
                fused.append(fuser.fuse(state, rewards.masked_fill(weights == 0, torch.nan), weights))
                shares.append(weights)
            draws.append(_right(fused[0] - fused[1]))
        right, weights = np.mean(draws, axis=0), torch.stack(shares)
        rows = np.arange(len(right))
        measures = {"router/pairwise_accuracy": c.measure(right, rows)}
        if self.own.any():
            on_own = (weights * self.own).sum(2).mean(0).double().numpy()
            measures["router/own_client"] = c.measure(on_own, rows, better="neither")
        share = weights.double().mean((0, 1)).numpy()
        entropy = float(entr(share / share.sum()).sum())
        measures["router/entropy"] = Measure(entropy, None, 2 * len(right), "nats", "neither")
        return measures


def _right(margin: Tensor) -> np.ndarray:
    """1 where a margin [N] is above zero, ½ for a tie."""
    return (margin.sign().double().numpy() + 1) / 2


def _share(right: np.ndarray) -> float:
    """The mean; NaN for a client that no comparison is about."""
    return float(right.mean()) if len(right) else float("nan")


def _raw(models: Sequence[ClientRewardModel], rewards: Sequence[np.ndarray]) -> list[np.ndarray]:
    """Each model's rewards as they were before normalisation."""
    return [own * model.deviation + model.mean for model, own in zip(models, rewards, strict=True)]


def _aucs(members: Sequence[np.ndarray], others: Sequence[np.ndarray]) -> np.ndarray:
    """[K, K]: P(a reward of client i for what it was trained on is above one of client j for what it was
    not); NaN where there is nothing of either."""
    return np.array([[_auc(inside, outside) for outside in others] for inside in members])


def _auc(inside: np.ndarray, outside: np.ndarray) -> Any:
    """P(one of ``inside`` is above one of ``outside``) in the rewards' own precision."""
    pairs = len(inside) * len(outside)
    return mannwhitneyu(inside, outside).statistic / pairs if pairs else float("nan")


def _mean_auc(aucs: np.ndarray, answers: int) -> Measure:
    known = aucs[np.isfinite(aucs)]
    return Measure(float(known.mean()) if len(known) else float("nan"), None, answers, "AUC", "lower")
