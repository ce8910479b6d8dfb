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
from fedbench_baselines.ordered import by_ordered_columns

SUMMED = 4096
"""Columns that a product in fp32 adds up; float64 adds up the products."""
SMALL = 2**20
"""Up to so many numbers in a cohort, differences cost nothing."""
MOST_CANCELLED = 8
"""‖a‖² + ‖b‖² over ‖a − b‖², above which products in fp32 are not accurate enough."""
LEAST = 1e-30
"""Mean square below which squares in fp32 lose digits."""


class Median(Aggregator):
    """The median of each coordinate; the mean of the middle two for an even cohort."""

    def __init__(self, options: Options) -> None:
        self.options = options

    def aggregate(self, state: State, cohort: Cohort) -> State:
        count = len(cohort.clients)
        middle = range((count - 1) // 2, count // 2 + 1)
        return {"params": by_ordered_columns(cohort, middle, lambda rows: (rows[0] + rows[-1]) / 2)}


class TrimmedMean(Aggregator):
    """The mean of each coordinate without its ⌊βn⌋ lowest and highest values."""

    def __init__(self, options: TrimmedMeanOptions) -> None:
        self.options = options

    def aggregate(self, state: State, cohort: Cohort) -> State:
        count = len(cohort.clients)
        cut = int(self.options.beta * count)
        return {"params": by_ordered_columns(cohort, range(cut, count - cut), lambda rows: rows.mean(0))}


class Krum(Aggregator):
    """The one update that has the closest neighbours."""

    def __init__(self, options: KrumOptions) -> None:
        self.options = options

    def aggregate(self, state: State, cohort: Cohort) -> State:
        scores = krum_scores(cohort, self.options.f).tolist()
        # Two updates that are each other's nearest tie: the lower client id goes first.
        ranked = sorted(range(len(scores)), key=lambda i: (scores[i], cohort.clients[i]))
        chosen = sorted(ranked[: self.kept(len(scores))])
        return {"params": cohort.by_columns(lambda block: block[chosen].mean(0))}

    def kept(self, count: int) -> int:
        """How many updates of ``count`` are averaged."""
        return 1


class MultiKrum(Krum):
    """The mean of the m updates that have the closest neighbours; m = n − f by default."""

    options: MultiKrumOptions

    def kept(self, count: int) -> int:
        return min(count, max(1, self.options.m or count - self.options.f))


def krum_scores(cohort: Cohort, f: int) -> Tensor:
    """The sum of squared distances to the n−f−2 nearest others (at least one), [C]; infinite without any."""
    squared = squared_distances(cohort)
    squared.fill_diagonal_(torch.inf)
    nearest = max(1, len(squared) - f - 2)
    return squared.sort(dim=1).values[:, :nearest].sum(1)


def squared_distances(cohort: Cohort) -> Tensor:
    """‖Δ_i − Δ_j‖² [C, C] in float64, within 1e-6 of their own size.

    ‖a‖² + ‖b‖² − 2ab is fast and cancels where a and b are close: on weights always, so updates are compared,
    and the pairs of which little remains are computed again from differences.
    """
    if cohort.params.numel() <= SMALL:
        return direct(cohort, slice(None))
    gram = torch.zeros(len(cohort.clients), len(cohort.clients), dtype=torch.float64)
    for _, block in cohort.blocks("updates", SUMMED * len(cohort.clients)):
        gram += (block @ block.T).to(gram)
    squares = gram.diagonal()[:, None] + gram.diagonal()
    squared = squares - (gram + gram.T)
    sound = (squares <= MOST_CANCELLED * squared) & (squares > LEAST * cohort.params.shape[1])
    close = ~sound.fill_diagonal_(True).all(1)
    if close.any():
        among = close.nonzero().squeeze(1)
        squared[among[:, None], among] = direct(cohort, among)
    return squared


def direct(cohort: Cohort, among: Tensor | slice) -> Tensor:
    """The squared distances of the updates ``among`` the cohort's, from their differences in float64."""
    squared = 0
    for _, block in cohort.blocks("updates"):
        rows = block[among].double()
        apart = torch.cdist(rows, rows, compute_mode="donot_use_mm_for_euclid_dist").cpu()
        squared = squared + apart.square()
    return squared
