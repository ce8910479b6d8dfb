"""The engine's own aggregator, for the parameters that the core averages itself (routers, reward models)."""

from __future__ import annotations

from fedbench.api.aggregator import Aggregator, State
from fedbench.api.cohort import CohortSum


class WeightedMean(Aggregator):
    """x ← Σ_k p_k y_k, p_k = n_k / Σ n over the cohort (FedAvg, arXiv 1602.05629, Algorithm 1)."""

    needs = "sum"

    def aggregate(self, state: State, cohort: CohortSum) -> State:
        """The mean of the cohort's parameters, weighted by the examples that each client used."""
        return {"params": cohort.mean("params")}
