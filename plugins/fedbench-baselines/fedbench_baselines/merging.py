"""Model merging as aggregation: task arithmetic, TIES and DARE on the updates Δ_k after local training.

TA    x ← x + λ Σ_k p_k Δ_k                              Ilharco et al. 2023, arXiv 2212.04089
TIES  keep each Δ_k's largest entries, elect a sign per   Yadav et al. 2023, arXiv 2306.01708
      entry, average the clients that agree with it
DARE  drop entries at random, rescale the rest            Yu et al. 2024, arXiv 2311.03099
"""

from __future__ import annotations

import torch
from torch import Tensor

from fedbench import Aggregator, Cohort, CohortSum, State
from fedbench_baselines.options import DareOptions, TaskArithmeticOptions, TiesOptions


class TaskArithmetic(Aggregator):
    """The mean update, scaled by λ."""

    needs = "sum"

    def __init__(self, options: TaskArithmeticOptions) -> None:
        self.options = options

    def aggregate(self, state: State, cohort: CohortSum) -> State:
        return {"params": state["params"] + self.options.lam * cohort.mean("updates")}


class Ties(Aggregator):
    """Trim each update, elect a sign for each entry, average the entries that agree with it."""

    def __init__(self, options: TiesOptions) -> None:
        self.options = options

    def aggregate(self, state: State, cohort: Cohort) -> State:
        kept = trimmed(cohort.updates, self.options.keep)
        shares = cohort.weights[:, None]
        elected = (shares * kept).sum(0).sign()
        voting = shares * ((kept.sign() == elected) & (kept != 0))
        merged = (voting * kept).sum(0) / voting.sum(0).clamp_min(torch.finfo(kept.dtype).tiny)
        return {"params": state["params"] + self.options.lam * merged}


def trimmed(updates: Tensor, keep: float) -> Tensor:
    """[C, P] with all but each row's share ``keep`` of largest magnitudes set to zero."""
    sizes = updates.abs()
    dropped = updates.shape[1] - max(1, round(keep * updates.shape[1]))
    smallest_kept = sizes.kthvalue(dropped + 1, dim=1, keepdim=True).values
    return torch.where(sizes >= smallest_kept, updates, 0.0)


class Dare(Aggregator):
    """Drop each update's entries with probability p, rescale the others by 1/(1 − p), average."""

    def __init__(self, options: DareOptions) -> None:
        self.options = options

    def aggregate(self, state: State, cohort: Cohort) -> State:
        drop = self.options.drop
        kept = torch.stack([self._mask(client, cohort) for client in cohort.clients]).to(cohort.params.device)
        return {"params": state["params"] + cohort.weights @ (kept * cohort.updates / (1 - drop))}

    def _mask(self, client: int, cohort: Cohort) -> Tensor:
        """The entries that are kept, drawn from the client's own stream: the order of clients is free."""
        return torch.rand(cohort.space.size, generator=cohort.stream("dare", client)) >= self.options.drop
