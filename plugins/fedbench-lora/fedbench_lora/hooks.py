"""The methods of this package: names, papers and the identities they promise. Imports no torch."""

from __future__ import annotations

from collections.abc import Iterator

from fedbench import MethodSpec, hookimpl

METHODS = {
    "ffa-lora": ("ffa_lora:FFALora", "LoRA: A frozen, B averaged", "Sun et al. 2024, arXiv 2403.12313"),
    "rolora": (
        "rolora:RoLora",
        "LoRA: rounds alternate between B and A",
        "Chen et al. 2025, arXiv 2502.01755",
    ),
    "fedsa-lora": (
        "fedsa_lora:FedSALora",
        "personalised LoRA: A averaged, B stays with each client",
        "Guo et al. 2024, arXiv 2410.01463",
    ),
    "flora": (
        "flora:FLora",
        "LoRA: factors stacked, merged into the base, adapters start anew",
        "Wang et al. 2024, arXiv 2409.05976",
    ),
    "fedex-lora": (
        "fedex_lora:FedExLora",
        "LoRA: factors averaged, the base takes up the mean's error",
        "Singhal et al. 2024, arXiv 2410.09432",
    ),
    "flexlora": (
        "flexlora:FlexLora",
        "LoRA: products averaged, cut to each client's rank by SVD",
        "Bai et al. 2024, arXiv 2402.11505",
    ),
    "hetlora": (
        "hetlora:HetLora",
        "LoRA: zero-padded factors averaged by the adapters' norms",
        "Cho et al. 2024, arXiv 2401.06432",
    ),
    "fed-sb": (
        "fed_sb:FedSB",
        "LoRA: A and B frozen, the small R between them averaged",
        "Singhal et al. 2025, arXiv 2502.15436",
    ),
}
"""By name: where it is, what it does, its source."""


@hookimpl
def fedbench_register_methods() -> Iterator[MethodSpec]:
    for name, (factory, summary, paper) in METHODS.items():
        yield MethodSpec(
            name=name,
            track="alignment",
            factory=f"fedbench_lora.{factory}",
            summary=summary,
            paper=paper,
        )
