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


METRICS = {
    "caption": ("CaptionLikelihood", "caption", ("nll", "token_accuracy"), "likelihood of held-out text"),
    "choice": ("ChoiceAccuracy", "choice", ("accuracy", "raw_accuracy"), "choice against the blind prior"),
    "yesno": (
        "YesNo",
        "yesno",
        ("accuracy", "f1", "yes_ratio", "balanced_accuracy"),
        "POPE's figures for yes/no questions",
    ),
    "exact-match": (
        "ExactMatch",
        "generate",
        ("exact_match", "unparsed"),
        "greedy answers equal to the reference",
    ),
}


@hookimpl
def fedbench_register_metrics() -> Iterator[MetricSpec]:
    for name, (metric, form, values, summary) in METRICS.items():
        yield MetricSpec(name, f"fedbench.evaluation.metrics:{metric}", summary, form, values)
