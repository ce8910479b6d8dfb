"""Fed-CMP — "A Step Toward Federated Pretraining of Multimodal Large Language Models", 2603.26786.

Clients train the projector as in FedAvg and upload it with one scalar, their modality gap d_k.
The server, for each weight matrix W_k ∈ R^{I×O} of client k:

    w_k ∝ ‖θ_k − θ_{r−1}‖² · exp(−α d_k)                        reliability.py   (RWF)
    [W_1, …, W_K] = Û Σ̂ [V_1; …; V_K]ᵀ,   V_f = Σ_k w_k V_k      canonical.py     (CSC)
    U_r = Orth(β U_{r−1} + (1−β) Align(Û)),                      momentum.py      (OPM)
    Σ_r = β Σ_{r−1} + (1−β) Σ̂,   β from the shift of the basis
    W_r = U_r Σ_r V_fᵀ

Biases are Σ_k w_k b_k. Round 1 has no momentum. Without CSC, momentum acts on the merged weights.
The server computes in float64. The README lists what the equations imply and what options change.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import Any

import torch
from torch import Tensor

from fedbench import Aggregator, Clients, Cohort, LocalRule, ParamSpace, State, Traffic
from fedbench_fedcmp import canonical, momentum
from fedbench_fedcmp.canonical import Basis
from fedbench_fedcmp.options import FedCMPOptions
from fedbench_fedcmp.reliability import REPORT, modality_gap, reliability

Noted = tuple[Tensor, dict[str, Tensor]]
"""A result, and the entries that it adds to the state."""


class FedCMP(Aggregator):
    """State: ``params`` [P]; per matrix ``U:name`` [I, s] and ``S:name`` [s] (or, without CSC,
    ``W:name`` [I, O]) in float64; and the last w_k, β and CosDis for the round log.
    """

    def __init__(self, options: FedCMPOptions) -> None:
        self.options = options

    @property
    def weighs_gaps(self) -> bool:
        """Whether the weights use the gap d_k, which is measured only then."""
        return self.options.rwf and self.options.quality and self.options.alpha > 0

    def traffic(self, space: ParamSpace) -> Traffic:
        """The projector, and d_k beside it."""
        return Traffic(up={REPORT: ()} if self.weighs_gaps else {})

    def local_rule(self, clients: Clients) -> LocalRule:
        """Training is FedAvg's."""
        if not self.weighs_gaps:
            return LocalRule()
        return LocalRule(reports={REPORT: partial(modality_gap, distance=self.options.distance)})

    def aggregate(self, state: State, cohort: Cohort) -> State:
        """The merged projector and this round's bases."""
        o = self.options
        shares = reliability(cohort, o)  # w_k
        after = {"weights": shares, "clients": torch.tensor(cohort.clients)}
        if not (o.csc or o.rwf or o.opm):
            return {"params": cohort.weights @ cohort.params, **after}  # FedAvg's own expression

        of_updates, started = o.target == "updates", cohort.space.views(cohort.start)
        merged: dict[str, Tensor] = {}
        for name, trained in cohort.space.views(cohort.params).items():
            values = (trained - started[name] if of_updates else trained).double()  # [C, *shape]
            if values.ndim == 3 and o.csc:
                merged[name], kept = self._canonical(name, values, shares, state, cohort)
            elif values.ndim == 3 and o.opm:
                merged[name], kept = self._plain_momentum(name, values, shares, state)
            else:
                merged[name], kept = canonical.average(values, shares), {}
            after |= kept
        if of_updates:
            start = cohort.space.views(state["params"])
            merged = {name: start[name].double() + update for name, update in merged.items()}
        return {"params": cohort.space.flatten(merged), **after}

    def _canonical(self, name: str, weights: Tensor, shares: Tensor, state: State, cohort: Cohort) -> Noted:
        """W_rᵀ = V_f Σ_r U_rᵀ [O, I] from the clients' weights [C, O, I]."""
        o = self.options
        basis = canonical.truncate(canonical.decompose(weights), o.rank)  # Û Σ̂
        moved = basis
        notes: dict[str, Tensor] = {}
        if o.opm and f"U:{name}" in state:
            previous = Basis(state[f"U:{name}"], state[f"S:{name}"])
            basis = momentum.align(previous, basis, o.align)
            beta, notes = self._beta(name, previous.directions, basis.directions)
            mixed = momentum.blend(previous.directions, basis.directions, beta)
            moved = Basis(
                momentum.orthogonalise(mixed),  # U_r
                momentum.blend(previous.scales, basis.scales, beta),  # Σ_r
            )

        # V comes from the aligned Û, so every V_k carries the same flips. It is linear in W: V_f of
        # a mean is V of the mean weights, and only the other merges need each client's V_k.
        if o.fuse == "mean":
            fused = canonical.coefficients(canonical.average(weights, shares), basis)
        elif o.fuse == "ties":
            fused = canonical.ties(canonical.coefficients(weights, basis), shares, o.ties_keep)
        else:
            each, stream = canonical.coefficients(weights, basis), cohort.stream("dare", name)
            fused = canonical.dare(each, shares, o.dare_drop, stream)
        kept = {
            f"U:{name}": moved.directions.contiguous(),
            f"S:{name}": moved.scales.contiguous(),
        }
        return canonical.reconstruct(moved, fused), kept | notes

    def _plain_momentum(self, name: str, weights: Tensor, shares: Tensor, state: State) -> Noted:
        """OPM without CSC: W_r = β W_{r−1} + (1−β) Ŵ_r, β from the columns of W ∈ R^{I×O}."""
        merged = canonical.average(weights, shares).T.contiguous()  # Ŵ_r
        notes: dict[str, Tensor] = {}
        if f"W:{name}" in state:
            previous = state[f"W:{name}"]
            beta, notes = self._beta(name, previous, merged)
            merged = momentum.blend(previous, merged, beta)
        return merged.T, {f"W:{name}": merged, **notes}

    def _beta(self, name: str, previous: Tensor, current: Tensor) -> Noted:
        """β of one matrix, and the entries of the log that it comes from."""
        similarity = momentum.cosines(previous, current)
        cos_dis = momentum.shift(similarity)
        beta = momentum.momentum(cos_dis, self.options)
        return beta, {
            f"beta:{name}": beta,
            f"cos_dis:{name}": cos_dis,
            f"mean_abs_cos:{name}": similarity.abs().mean(),
        }

    def diagnostics(self, state: State) -> Mapping[str, Any]:
        """``weights`` of ``clients``; per matrix β, CosDis, mean |cos|, rank and max |UᵀU − I|."""
        numbers: dict[str, Any] = {}
        for key, value in state.items():
            kind, _, name = key.partition(":")
            if kind in ("weights", "clients", "beta", "cos_dis", "mean_abs_cos"):
                numbers[key] = value.tolist()
            elif kind == "U":
                numbers[f"rank:{name}"] = value.shape[1]
                numbers[f"orthogonality:{name}"] = momentum.orthogonality_error(value)
        return numbers
