"""The methods of this package: names, papers and the identities they promise. Imports no torch."""

from __future__ import annotations

from collections.abc import Iterator

from fedbench import MethodSpec, Reduction, hookimpl
from fedbench_personal.options import DittoOptions, FedAvgFTOptions, FedPerOptions, FedRepOptions


@hookimpl
def fedbench_register_methods() -> Iterator[MethodSpec]:
    yield MethodSpec(
        name="fedper",
        track="alignment",
        factory="fedbench_personal.fedper:FedPer",
        summary="personalised: the last layer stays with each client",
        paper="Arivazhagan et al. 2019, arXiv 1912.00818",
        options=FedPerOptions,
        reductions=(Reduction("fedavg", {"head": ()}, why="nothing stays"),),
    )
    yield MethodSpec(
        name="fedrep",
        track="alignment",
        factory="fedbench_personal.fedrep:FedRep",
        summary="personalised: the last layer stays, and is trained before the others",
        paper="Collins et al. 2021, arXiv 2102.07078",
        options=FedRepOptions,
        reductions=(Reduction("fedavg", {"head": (), "head_share": 0.0}, why="nothing stays, all is body"),),
    )
    yield MethodSpec(
        name="ditto",
        track="alignment",
        factory="fedbench_personal.ditto:Ditto",
        summary="personalised: FedAvg, and beside it a model of each client's own near the global one",
        paper="Li et al. 2021, arXiv 2012.04221",
        options=DittoOptions,
    )
    yield MethodSpec(
        name="fedavg-ft",
        track="alignment",
        factory="fedbench_personal.fedavg_ft:FedAvgFT",
        summary="personalised: FedAvg, then every client fine-tunes the model on its own examples",
        paper="Wang et al. 2019, arXiv 1910.10252",
        options=FedAvgFTOptions,
    )
