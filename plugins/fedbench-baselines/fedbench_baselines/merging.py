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
        smallest = smallest_kept(cohort, self.options.keep)[:, None]
        shares = cohort.weights[:, None]

        def merged(updates: Tensor) -> Tensor:
            kept = torch.where(updates.abs() >= smallest, updates, 0.0)
            elected = (shares * kept).sum(0).sign()
            voting = shares * ((kept.sign() == elected) & (kept != 0))
            return (voting * kept).sum(0) / voting.sum(0).clamp_min(torch.finfo(kept.dtype).tiny)

        return {"params": state["params"] + self.options.lam * cohort.by_columns(merged, "updates")}


def smallest_kept(cohort: Cohort, keep: float) -> Tensor:
    """The smallest magnitude among each update's share ``keep`` of largest ones, [C]."""
    size = cohort.params.shape[1]
    dropped = size - max(1, round(keep * size))
    sizes = cohort.params.new_empty(size)
    smallest = []
    for end, start in zip(cohort.params, cohort.start, strict=True):
        torch.sub(end, start, out=sizes).abs_()
        smallest.append(ranked(sizes, dropped))
    return sizes.new_tensor(smallest)


def ranked(sizes: Tensor, rank: int) -> float:
    """The value of ``sizes`` [P] that ``rank`` others lie below; puts ``sizes`` in another order."""
    if sizes.device.type != "cpu" or sizes.dtype not in (torch.float32, torch.float64):
        return sizes.kthvalue(rank + 1).values.item()
    sizes.numpy().partition(rank)  # a selection in place; torch's makes copies, and is six times slower
    return sizes[rank].item()


class Dare(Aggregator):
    """Drop each update's entries with probability p, rescale the others by 1/(1 − p), average."""

    def __init__(self, options: DareOptions) -> None:
        self.options = options

    def aggregate(self, state: State, cohort: Cohort) -> State:
        drop = self.options.drop
        # A client's entries are drawn from its own stream: the order of clients is free.
        streams = [cohort.stream("dare", client) for client in cohort.clients]

        def merged(updates: Tensor) -> Tensor:
            drawn = [torch.rand(updates.shape[1], generator=stream) >= drop for stream in streams]
            kept = torch.stack(drawn).to(updates.device)
            return cohort.weights @ (kept * updates / (1 - drop))

        return {"params": state["params"] + cohort.by_columns(merged, "updates")}
