"""FedAvg — McMahan et al. 2017, "Communication-Efficient Learning of Deep Networks from
Decentralized Data", arXiv 1602.05629, Algorithm 1.

    x ← Σ_k p_k y_k ,   p_k = n_k / Σ n       over the cohort, n_k the examples client k really used
"""

from __future__ import annotations

from fedbench import Aggregator, CohortSum, Options, State


class FedAvg(Aggregator):
    """The mean of the clients' parameters, weighted by examples."""

    needs = "sum"
    mixed_ranks = True

    def __init__(self, options: Options) -> None:
        self.options = options

    def aggregate(self, state: State, cohort: CohortSum) -> State:
        if cohort.ranks:  # each rank is averaged over those who have it; one that nobody has stays
            return {"params": state["params"] + cohort.mean("updates")}
        return {"params": cohort.mean("params")}
