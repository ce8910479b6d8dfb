"""What the core itself registers, through the same door as everyone: partitioners and metrics."""

from __future__ import annotations

from collections.abc import Iterator

from fedbench.hookspecs import hookimpl
from fedbench.specs import MetricSpec, PartitionerSpec

PARTITIONERS = {
    "manifest": ("ManifestOptions", "the units a file shipped with the scenario names"),
    "iid": ("SeededOptions", "evenly and at random"),
    "dirichlet": ("DirichletOptions", "label skew: each label's proportions drawn from Dir(α)"),
    "shards": ("ShardsOptions", "label skew: a few shards of label-sorted units each"),
    "natural": ("LabelOptions", "a client for each value of a label"),
    "quantity": ("QuantityOptions", "sizes drawn from Dir(α)"),
}


@hookimpl
def fedbench_register_partitioners() -> Iterator[PartitionerSpec]:
    module = "fedbench.data.partitioners"
    for name, (options, summary) in PARTITIONERS.items():
        yield PartitionerSpec(name, f"{module}:{name}", summary, f"{module}:{options}")


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
