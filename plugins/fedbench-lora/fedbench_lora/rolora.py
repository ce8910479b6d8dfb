"""RoLoRA — Chen et al. 2025, "Robust Federated Finetuning of LLMs via Alternating Optimization of LoRA",
arXiv 2502.01755, Algorithm 1.

Rounds alternate: B is trained, sent and averaged with A fixed, then A with B fixed. One factor being the same
for all, the mean of the other is exact.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

from fedbench import Aggregator, Clients, CohortSum, LocalRule, Options, ParamSpace, Phase, State, Traffic
from fedbench_lora.factors import pairs_of


def turns_of(space: ParamSpace) -> tuple[list[str], list[str]]:
    """The names of all B, which odd rounds train, and of all A, which even ones do."""
    pairs = pairs_of(space)
    return [pair.b for pair in pairs], [pair.a for pair in pairs]


def rule_of_round(space: ParamSpace, clients: Clients) -> LocalRule:
    """Everything is trained but the factor whose turn it is not."""
    assert clients.round is not None
    waiting = turns_of(space)[clients.round % 2]
    return LocalRule(trains=[name for name in space.shapes if name not in waiting])


class RoLora(Aggregator):
    """The mean of B in odd rounds, of A in even ones."""

    needs = "sum"

    def __init__(self, options: Options) -> None:
        self.options = options

    def traffic(self, space: ParamSpace) -> Traffic:
        return Traffic(turns=turns_of(space))

    def phases(self, space: ParamSpace) -> Sequence[Phase]:
        return (Phase(rule=partial(rule_of_round, space)),)

    def aggregate(self, state: State, cohort: CohortSum) -> State:
        # x + Σ pΔ: what was not trained stays as it is to the last bit
        return {"params": state["params"] + cohort.mean("updates")}
