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

from fedbench.evaluation.estimates import mean
from fedbench.fusers import Judge, Judged, RewardFuser
from fedbench.measures import Measure
from fedbench.methods import State
from fedbench.rng import torch_stream
from fedbench.tracks.judging import Answered, ClientJudge


@dataclass(frozen=True)
class Comparisons:
    """The server's public preferences; ``owners`` [N]: the client whose field each is of, −1 for none."""

    better: Answered
    worse: Answered
    owners: np.ndarray

    @property
    def groups(self) -> list[str]:
        """What makes comparisons dependent: their image."""
        return [str(image) for image in self.better.images.tolist()]

    def scores(self, judge: Judge) -> tuple[Tensor, Tensor]:
        """A judge's rewards [N] of the better answers and of the worse."""
        return judge.score(self.better.everything).cpu(), judge.score(self.worse.everything).cpu()

    def measure(self, values: np.ndarray, rows: np.ndarray, unit: str = "share", **more: str) -> Measure:
        """The mean of ``values`` [n] over comparisons ``rows`` [n], its error clustered by image."""
        groups = np.asarray(self.groups)[rows]
        return Measure(**mean(values).measure(groups.tolist(), unit, **more))


def reward_report(
    judges: Sequence[ClientJudge], learnt: Sequence[Judged], comparisons: Comparisons
) -> tuple[dict[str, Measure], list[dict[str, Any]]]:
    """Measures over all clients, and a line for each. ``learnt[k]``: answers that k was fitted on.

    ``membership_auc`` is that of an attacker who takes a high reward for a sign that an answer was learnt
    from, over all clients' own and unseen answers; ``…_raw`` the same on rewards that are not normalised.
    """
    found = [comparisons.scores(judge) for judge in judges]
    right = np.stack([(better > worse).double().numpy() for better, worse in found])
    margin = np.stack([(better - worse).double().numpy() for better, worse in found])
    sure = expit(margin * np.array([[judge.deviation] for judge in judges]))
    own = comparisons.owners == np.array([[judge.client] for judge in judges])
    everything = np.tile(np.arange(right.shape[1]), len(judges))
    mine = own.nonzero()[1]
    seen = [judge.score(own).cpu().numpy() for judge, own in zip(judges, learnt, strict=True)]
    unseen = [better.numpy()[row] for (better, _), row in zip(found, own, strict=True)]
    measures = {
        "rewards/pairwise_accuracy": comparisons.measure(right.ravel(), everything),
        "rewards/own_accuracy": comparisons.measure(right[own], mine),
        "rewards/brier": comparisons.measure((1 - sure[own]) ** 2, mine, better="lower"),
        "rewards/membership_auc": _auc(seen, unseen),
        "rewards/membership_auc_raw": _auc(_raw(judges, seen), _raw(judges, unseen)),
    }
    lines = [
        {
            "client": judge.client, "mean": judge.mean, "deviation": judge.deviation,
            "accuracy": float(right[k].mean()), "own_accuracy": float(right[k][own[k]].mean()),
        }
        for k, judge in enumerate(judges)
    ]  # fmt: skip
    return measures, lines


def _raw(judges: Sequence[ClientJudge], rewards: Sequence[np.ndarray]) -> list[np.ndarray]:
    """Each judge's rewards as they were before normalisation."""
    return [found * judge.deviation + judge.mean for judge, found in zip(judges, rewards, strict=True)]


def _auc(members: Sequence[np.ndarray], others: Sequence[np.ndarray]) -> Measure:
    """P(a member's reward is above another's), pooled over clients."""
    inside, outside = np.concatenate(members), np.concatenate(others)
    above = mannwhitneyu(inside, outside).statistic / (len(inside) * len(outside))
    return Measure(float(above), None, len(inside) + len(outside), "AUC", "lower")


class RoutingReport:
    """Whom a fuser believes about the server's comparisons, and how right that is."""

    def __init__(self, judges: Sequence[Judge], comparisons: Comparisons, seed: int) -> None:
        self.comparisons, self.seed = comparisons, seed
        sides = zip(*(comparisons.scores(judge) for judge in judges), strict=True)
        self.rewards = [torch.stack(side, dim=1) for side in sides]
        clients = np.array([-2 if judge.client is None else judge.client for judge in judges])
        self.own = torch.from_numpy(comparisons.owners[:, None] == clients)

    def measures(self, fuser: RewardFuser, state: State) -> dict[str, Measure]:
        """``pairwise_accuracy`` of the fused reward (a tie is half right), the weight on the client whose
        field it is, and the entropy of the mean routing: 0 where the router has collapsed."""
        c, fused, shares = self.comparisons, [], []
        for side, rewards in zip((c.better, c.worse), self.rewards, strict=True):
            stream = torch_stream(self.seed, "audit")
            weights = fuser.route(state, side.everything, rewards.shape[1], stream).cpu()
            fused.append(fuser.fuse(state, rewards.masked_fill(weights == 0, torch.nan), weights))
            shares.append(weights)
        right = ((fused[0] - fused[1]).sign().double().numpy() + 1) / 2
        weights = torch.stack(shares)
        rows = np.arange(len(right))
        found = {"router/pairwise_accuracy": c.measure(right, rows)}
        if self.own.any():
            spent = (weights * self.own).sum(2).mean(0).double().numpy()
            found["router/own_client"] = c.measure(spent, rows, better="neither")
        share = weights.double().mean((0, 1)).numpy()
        entropy = float(entr(share / share.sum()).sum())
        found["router/entropy"] = Measure(entropy, None, 2 * len(right), "nats", "neither")
        return found
