"""The method of this package. Imports no torch: the method itself is imported when a run uses it."""

from __future__ import annotations

from collections.abc import Iterator

from fedbench import MethodSpec, Reduction, hookimpl
from fedbench_fedcmp.options import FedCMPOptions

REDUCTIONS = (
    Reduction(
        equals="fedavg",
        options={"csc": False, "rwf": False, "opm": False},
        why="every part is off: the same expression, the same bits",
    ),
    Reduction(
        equals="fedavg",
        options={"rwf": False, "opm": False},
        tolerance=1e-6,
        why="at full rank UΣ(Σ w_k V_k)ᵀ = Σ w_k W_k: the canonical space alone is an identity",
    ),
    Reduction(
        equals="fedavg",
        options={"rwf": False, "opm": False, "target": "updates"},
        tolerance=1e-6,
        why="the same identity on Δ_k, because Σ w_k = 1",
    ),
    Reduction(
        equals="fedavg",
        options={"rwf": False, "beta_rule": "fixed", "beta": 0.0},
        tolerance=1e-6,
        why="momentum with β = 0 keeps this round's basis",
    ),
)


@hookimpl
def fedbench_register_methods() -> Iterator[MethodSpec]:
    yield MethodSpec(
        name="fed-cmp",
        track="alignment",
        factory="fedbench_fedcmp.fedcmp:FedCMP",
        summary="reliability-weighted merging in a shared basis that moves with momentum",
        options=FedCMPOptions,
        paper="arXiv 2603.26786",
        reductions=REDUCTIONS,
    )
