"""What the methods of this package share: whatever travels is averaged as FedAvg does (arXiv 1602.05629)."""

from __future__ import annotations

from fedbench import Aggregator, CohortSum, State


class Averaged(Aggregator):
    """x ← Σ_k p_k y_k ,   p_k = n_k / Σ n over the cohort."""

    needs = "sum"

    def aggregate(self, state: State, cohort: CohortSum) -> State:
        return {"params": cohort.mean("params")}
