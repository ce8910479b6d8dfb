"""How good, calibrated and talkative the clients' reward models are, and whom a fuser believes."""

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
from fedbench.api.reward_fuser import ResponseBatch, RewardFuser, RewardSource
from fedbench.evaluation.estimates import mean
from fedbench.preference.reward_models import ClientRewardModel, TokenizedResponses
from fedbench.rng import torch_stream

DRAWS = 8
"""Of a routing that is drawn; one for each of the server's comparisons is too few to tell routers apart."""


@dataclass(frozen=True)
class Comparisons:
    """The server's public preferences; ``owners`` [N]: the client whose field each is of, −1 for none."""

    better: TokenizedResponses
    worse: TokenizedResponses
    owners: np.ndarray

    @property
    def groups(self) -> list[str]:
        """What makes comparisons dependent: their image."""
        return [str(image) for image in self.better.images.tolist()]

    def scores(self, source: RewardSource) -> tuple[Tensor, Tensor]:
        """A source's rewards [N] of the better answers and of the worse."""
        return source.score(self.better.everything).cpu(), source.score(self.worse.everything).cpu()

    def measure(self, values: np.ndarray, rows: np.ndarray, unit: str = "share", **more: str) -> Measure:
        """The mean of ``values`` [n] over comparisons ``rows`` [n], its error clustered by image."""
        groups = np.asarray(self.groups)[rows]
        return Measure(**mean(values).measure(groups.tolist(), unit, **more))


@dataclass(frozen=True)
class TrainingPreferences:
    """What a client was fitted on: N answers of each kind, and ``sign`` [N], −1 where it prefers the
    rejected one."""

    chosen: ResponseBatch
    rejected: ResponseBatch
    sign: Tensor

    def preferred(self, source: RewardSource) -> np.ndarray:
        """Rewards [N] of the answers that the client was taught to prefer."""
        sides = source.score(self.chosen), source.score(self.rejected)
        return torch.where(self.sign > 0, *sides).cpu().numpy()


def reward_report(
    sources: Sequence[ClientRewardModel], preferences: Sequence[TrainingPreferences], comparisons: Comparisons
) -> tuple[dict[str, Measure], list[dict[str, Any]]]:
    """Measures over all clients, and a line for each. ``preferences[k]`` is what k was fitted on.

    ``membership_auc`` is that of an attacker who takes a high reward for a sign that an answer was learnt
    from, a mean over clients; normalisation, the same for all of a client's rewards, does not alter it.
    ``…_mixed`` is that of one who can't tell whose a reward is, all pairs of clients weighing the same;
    ``…_mixed_raw`` the same on rewards that are not normalised.
    """
    found = [comparisons.scores(source) for source in sources]
    margins = [better - worse for better, worse in found]
    right, margin = np.stack([_right(m) for m in margins]), torch.stack(margins).double().numpy()
    sure = expit(margin * np.array([[source.deviation] for source in sources]))
    own = comparisons.owners == np.array([[source.client] for source in sources])
    everything = np.tile(np.arange(right.shape[1]), len(sources))
    mine = own.nonzero()[1]
    seen = [own.preferred(source) for source, own in zip(sources, preferences, strict=True)]
    unseen = [better.numpy()[row] for (better, _), row in zip(found, own, strict=True)]
    aucs, tested = _aucs(seen, unseen), sum(map(len, (*seen, *unseen)))
    measures = {
        "rewards/pairwise_accuracy": comparisons.measure(right.ravel(), everything),
        "rewards/own_accuracy": comparisons.measure(right[own], mine),
        "rewards/brier": comparisons.measure((1 - sure[own]) ** 2, mine, better="lower"),
        "rewards/membership_auc": _auc(np.diagonal(aucs), tested),
        "rewards/membership_auc_mixed": _auc(aucs, tested),
        "rewards/membership_auc_mixed_raw": _auc(_aucs(_raw(sources, seen), _raw(sources, unseen)), tested),
    }
    lines = [
        {
            "client": source.client, "mean": source.mean, "deviation": source.deviation,
            "accuracy": float(right[k].mean()), "own_accuracy": _share(right[k][own[k]]),
        }
        for k, source in enumerate(sources)
    ]  # fmt: skip
    return measures, lines


def _share(right: np.ndarray) -> float:
    """NaN for a client whom no comparison is about."""
    return float(right.mean()) if len(right) else float("nan")


def _raw(sources: Sequence[ClientRewardModel], rewards: Sequence[np.ndarray]) -> list[np.ndarray]:
    """Each source's rewards as they were before normalisation."""
    return [found * source.deviation + source.mean for source, found in zip(sources, rewards, strict=True)]


def _aucs(members: Sequence[np.ndarray], others: Sequence[np.ndarray]) -> np.ndarray:
    """[K, K]: P(a reward of client i's for what it learnt from is above one of client j's for what it did
    not); NaN where there is nothing of either."""

    def auc(inside: np.ndarray, outside: np.ndarray) -> Any:
        pairs = len(inside) * len(outside)
        return (
            mannwhitneyu(inside, outside).statistic / pairs if pairs else float("nan")
        )  # rewards' own precision

    return np.array([[auc(inside, outside) for outside in others] for inside in members])


def _auc(found: np.ndarray, answers: int) -> Measure:
    known = found[np.isfinite(found)]
    return Measure(float(known.mean()) if len(known) else float("nan"), None, answers, "AUC", "lower")


def _right(margin: Tensor) -> np.ndarray:
    """1 where a margin [N] is above zero, ½ for a tie."""
    return (margin.sign().double().numpy() + 1) / 2


class RoutingReport:
    """Whom a fuser believes about the server's comparisons, and how right that is."""

    def __init__(self, sources: Sequence[RewardSource], comparisons: Comparisons, seed: int) -> None:
        self.comparisons, self.seed = comparisons, seed
        sides = zip(*(comparisons.scores(source) for source in sources), strict=True)
        self.rewards = [torch.stack(side, dim=1) for side in sides]
        clients = np.array([-2 if source.client is None else source.client for source in sources])
        self.own = torch.from_numpy(comparisons.owners[:, None] == clients)

    def measures(self, fuser: RewardFuser, state: State) -> dict[str, Measure]:
        """``pairwise_accuracy`` of the fused reward (a tie is half right), the weight on the client whose
        field it is, and the entropy of the mean routing: 0 where the router has collapsed. Means over DRAWS
        of every answer's routing."""
        c, responses, shares = self.comparisons, [], []
        for draw in range(DRAWS):
            fused = []
            for name, side, rewards in zip("+-", (c.better, c.worse), self.rewards, strict=True):
                stream = torch_stream(self.seed, "audit", name, draw)
                weights = fuser.route(state, side.everything, rewards.shape[1], stream).cpu()
                fused.append(fuser.fuse(state, rewards.masked_fill(weights == 0, torch.nan), weights))
                shares.append(weights)
            responses.append(_right(fused[0] - fused[1]))
        right, weights = np.mean(responses, axis=0), torch.stack(shares)
        rows = np.arange(len(right))
        found = {"router/pairwise_accuracy": c.measure(right, rows)}
        if self.own.any():
            spent = (weights * self.own).sum(2).mean(0).double().numpy()
            found["router/own_client"] = c.measure(spent, rows, better="neither")
        share = weights.double().mean((0, 1)).numpy()
        entropy = float(entr(share / share.sum()).sum())
        found["router/entropy"] = Measure(entropy, None, 2 * len(right), "nats", "neither")
        return found
