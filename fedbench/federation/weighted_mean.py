"""The engine's own aggregator, for the parameters that the core averages itself (routers, reward models)."""

from __future__ import annotations

from fedbench.api.aggregator import Aggregator, Cohort, State


class WeightedMean(Aggregator):
    """x ← Σ_k p_k y_k, p_k = n_k / Σ n over the cohort (FedAvg, arXiv 1602.05629, Algorithm 1)."""

    def aggregate(self, state: State, cohort: Cohort) -> State:
        """The mean of the cohort's parameters, weighted by the examples that each client used."""
        return {"params": cohort.weights @ cohort.params}
