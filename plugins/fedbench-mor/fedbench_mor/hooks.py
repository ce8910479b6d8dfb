"""The method of this package. Imports no torch: the method itself is imported when a run uses it."""

from __future__ import annotations

from collections.abc import Iterator

from fedbench import MethodSpec, hookimpl
from fedbench_mor.options import MoROptions


@hookimpl
def fedbench_register_methods() -> Iterator[MethodSpec]:
    yield MethodSpec(
        name="mor",
        track="preference",
        factory="fedbench_mor.mor:MoR",
        summary="a mixture of the clients' rewards with a learned router",
        options=MoROptions,
        paper="arXiv 2605.03426",
    )
