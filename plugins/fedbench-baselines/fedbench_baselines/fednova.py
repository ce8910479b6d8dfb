"""FedNova — Wang et al. 2020, "Tackling the Objective Inconsistency Problem in Heterogeneous Federated
Optimization", arXiv 2007.07481, eq. 6: each update counts per step taken.

    x ← x + τ_eff Σ_k p_k Δ_k / τ_k ,   τ_eff = Σ_k p_k τ_k

τ_k is the number of local steps, which is exact for plain SGD. With an adaptive local optimiser it is the
usual stand-in for the accumulated step sizes.
"""

from __future__ import annotations

from fedbench import Aggregator, CohortSum, Options, State


class FedNova(Aggregator):
    """The mean update per step, scaled to the mean number of steps."""

    needs = "sum"

    def __init__(self, options: Options) -> None:
        self.options = options

    def aggregate(self, state: State, cohort: CohortSum) -> State:
        effective = cohort.mean("steps")  # τ_eff
        normalised = cohort.mean("updates", per_step=True)
        return {"params": state["params"] + effective * normalised}
