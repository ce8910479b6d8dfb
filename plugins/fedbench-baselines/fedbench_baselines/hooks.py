"""The methods of this package: names, papers, options and the identities they promise."""

from __future__ import annotations

from collections.abc import Iterator

from pydantic import Field

from fedbench import MethodSpec, Options, Reduction, hookimpl


class FedProxOptions(Options):
    mu: float = Field(0.01, ge=0, description="weight μ of the proximal term (μ/2)‖w − x‖²")


@hookimpl
def fedbench_register_methods() -> Iterator[MethodSpec]:
    yield MethodSpec(
        name="start",
        track="alignment",
        factory="fedbench_baselines.anchors:Start",
        summary="anchor: the untouched initial projector, nobody trains",
    )
    yield MethodSpec(
        name="local",
        track="alignment",
        factory="fedbench_baselines.anchors:Local",
        summary="anchor: every client for itself; the score is the mean over clients",
    )
    yield MethodSpec(
        name="centralized",
        track="alignment",
        factory="fedbench_baselines.anchors:Centralized",
        summary="anchor: one model on the pooled data, same examples and steps",
    )
    yield MethodSpec(
        name="fedavg",
        track="alignment",
        factory="fedbench_baselines.fedavg:FedAvg",
        summary="federated averaging, weighted by examples used",
        paper="McMahan et al. 2017, arXiv 1602.05629",
    )
    yield MethodSpec(
        name="fedprox",
        track="alignment",
        factory="fedbench_baselines.fedprox:FedProx",
        summary="FedAvg with a proximal term that keeps clients near the global model",
        paper="Li et al. 2020, arXiv 1812.06127",
        options=FedProxOptions,
        reductions=(Reduction(equals="fedavg", options={"mu": 0.0}, why="the proximal gradient vanishes"),),
    )
