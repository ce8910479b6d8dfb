"""What the core itself registers, through the same door as everyone: partitioners and metrics."""

from __future__ import annotations

from collections.abc import Iterator

from fedbench.hookspecs import hookimpl
from fedbench.specs import MetricSpec, PartitionerSpec


@hookimpl
def fedbench_register_partitioners() -> Iterator[PartitionerSpec]:
    yield PartitionerSpec(
        name="manifest",
        factory="fedbench.data.partition:manifest",
        summary="the units a file shipped with the scenario names",
        options="fedbench.data.partition:ManifestOptions",
    )
    yield PartitionerSpec(
        name="iid",
        factory="fedbench.data.partition:iid",
        summary="units dealt evenly and at random",
        options="fedbench.data.partition:IidOptions",
    )


@hookimpl
def fedbench_register_metrics() -> Iterator[MetricSpec]:
    module = "fedbench.evaluation.metrics"
    yield MetricSpec(
        "caption", f"{module}:CaptionLikelihood", "NLL and token accuracy of held-out text", "caption"
    )
    yield MetricSpec(
        "choice", f"{module}:ChoiceAccuracy", "multiple choice against the blind prior", "choice"
    )
    yield MetricSpec("yesno", f"{module}:YesNo", "POPE's figures for yes/no questions", "yesno")
    yield MetricSpec(
        "exact-match", f"{module}:ExactMatch", "greedy answers equal to the reference", "generate"
    )
