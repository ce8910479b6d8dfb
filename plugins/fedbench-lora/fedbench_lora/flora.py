"""FLoRA — Wang et al. 2024, "FLoRA: Federated Fine-Tuning Large Language Models with Heterogeneous Low-Rank
Adaptations", arXiv 2409.05976.

The clients' factors are stacked, which sums their products exactly, and merged into the base:

    W ← W + s · [p_1 B_1, …, p_K B_K] [A_1; …; A_K] = W + Σ_k p_k ΔW_k

Then adapters start anew in every round, A drawn again, B = 0. A new start follows from the seed, so only the
stack goes down; s scales each product once.
"""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor

from fedbench import Cohort, Options, ParamSpace, State, Traffic
from fedbench_lora.factors import LoraAggregator, factors, pairs_of, replaced, stacked

B_STACK, A_STACK = "stack_b/", "stack_a/"
"""The stacked factors in the server's state, by the linear's path."""


class FLora(LoraAggregator):
    """The base moves by the stacked adapters, which then start anew."""

    mixed_ranks = True

    def __init__(self, options: Options) -> None:
        self.options = options

    def traffic(self, space: ParamSpace) -> Traffic:
        fresh = {name for pair in pairs_of(space) for name in (pair.a, pair.b)}
        return Traffic(params_down=[name for name in space.shapes if name not in fresh])

    def aggregate(self, state: State, cohort: Cohort) -> State:
        fresh, stacks = dict[str, Tensor](), dict[str, Tensor]()
        generator = cohort.stream("restart")
        for pair, b, a in factors(cohort):
            stack_b, stack_a = stacked(cohort.weights, b, a)
            ranks = torch.tensor(cohort.ranks or [a.shape[1]] * len(a))
            held = (torch.arange(a.shape[1]) < ranks[:, None]).flatten().to(b.device)
            stacks |= {f"{B_STACK}{pair.path}": stack_b[:, held], f"{A_STACK}{pair.path}": stack_a[held]}
            random = torch.rand(a.shape[1:], generator=generator).to(a)
            fresh |= {pair.a: (random * 2 - 1) / a.shape[2] ** 0.5, pair.b: torch.zeros_like(b[0])}
        params = replaced(cohort.space, cohort.mean("params"), fresh)
        return {"params": params, **stacks}

    def base_update(self, state: State) -> Mapping[str, tuple[Tensor, Tensor]]:
        paths = [name.removeprefix(B_STACK) for name in state if name.startswith(B_STACK)]
        return {path: (state[f"{B_STACK}{path}"], state[f"{A_STACK}{path}"]) for path in paths}
