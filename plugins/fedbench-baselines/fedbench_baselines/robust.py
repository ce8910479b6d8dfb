"""Byzantine-robust aggregation; unweighted, since an attacker may claim any number of examples.

median         per coordinate                                Yin et al. 2018, arXiv 1803.01498
trimmed mean   per coordinate, ⌊βn⌋ dropped on each side     ibid.
(multi-)Krum   the m updates with the smallest sum of        Blanchard et al. 2017, arXiv 1703.02757
               squared distances to their n−f−2 nearest
"""

from __future__ import annotations

import torch
from torch import Tensor

from fedbench import Aggregator, Cohort, Options, State
from fedbench_baselines.options import KrumOptions, MultiKrumOptions, TrimmedMeanOptions


class Median(Aggregator):
    """The median of each coordinate; the mean of the middle two for an even cohort."""

    def __init__(self, options: Options) -> None:
        self.options = options

    def aggregate(self, state: State, cohort: Cohort) -> State:
        ordered = cohort.params.sort(dim=0).values
        count = len(ordered)
        return {"params": (ordered[(count - 1) // 2] + ordered[count // 2]) / 2}


class TrimmedMean(Aggregator):
    """The mean of each coordinate without its ⌊βn⌋ lowest and highest values."""

    def __init__(self, options: TrimmedMeanOptions) -> None:
        self.options = options

    def aggregate(self, state: State, cohort: Cohort) -> State:
        count = len(cohort.params)
        cut = int(self.options.beta * count)
        return {"params": cohort.params.sort(dim=0).values[cut : count - cut].mean(0)}


class Krum(Aggregator):
    """The one update that has the closest neighbours."""

    def __init__(self, options: KrumOptions) -> None:
        self.options = options

    def aggregate(self, state: State, cohort: Cohort) -> State:
        scores = krum_scores(cohort.updates, self.options.f).tolist()
        # Two updates that are each other's nearest tie: the lower client id goes first.
        ranked = sorted(range(len(scores)), key=lambda i: (scores[i], cohort.clients[i]))
        return {"params": cohort.params[sorted(ranked[: self.kept(len(scores))])].mean(0)}

    def kept(self, count: int) -> int:
        """How many updates of ``count`` are averaged."""
        return 1


class MultiKrum(Krum):
    """The mean of the m updates that have the closest neighbours; m = n − f by default."""

    options: MultiKrumOptions

    def kept(self, count: int) -> int:
        return min(count, max(1, self.options.m or count - self.options.f))


def krum_scores(updates: Tensor, f: int) -> Tensor:
    """The sum of squared distances to the n−f−2 nearest others (at least one), [C]; infinite without any.

    Computed on updates and in float64: on weights in fp32, ‖a‖² + ‖b‖² − 2ab cancels.
    """
    squared = torch.cdist(updates.double(), updates.double()).square()
    squared.fill_diagonal_(torch.inf)
    nearest = max(1, len(updates) - f - 2)
    return squared.sort(dim=1).values[:, :nearest].sum(1)
