"""The core's own plugin: its partitioners, metrics, boards and publishers, registered as any plugin's are."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from fedbench.api.hookspecs import hookimpl
from fedbench.api.specs import FormSpec, LeaderboardSpec, MetricSpec, PartitionerSpec, PublisherSpec

PARTITIONERS = {
    "manifest": ("partitioners", "ManifestOptions", "the units a file shipped with the scenario names"),
    "iid": ("partitioners", "SeededOptions", "evenly and at random"),
    "dirichlet": (
        "partitioners",
        "DirichletOptions",
        "label skew: each label's shares drawn from Dir(α)",
    ),
    "shards": ("partitioners", "ShardsOptions", "label skew: a few shards of label-sorted units each"),
    "natural": ("partitioners", "NaturalOptions", "a client for each value of a label"),
    "quantity": ("partitioners", "QuantityOptions", "sizes drawn from Dir(α)"),
    "cluster": ("clusters", "ClusterOptions", "clusters of image or text embeddings, or of both"),
}


@hookimpl
def fedbench_register_partitioners() -> Iterator[PartitionerSpec]:
    """Register the ways to deal units to clients."""
    for name, (module, options, summary) in PARTITIONERS.items():
        at = f"fedbench.data.{module}"
        yield PartitionerSpec(name, f"{at}:{name}", summary, f"{at}:{options}")


_CHOICES = {
    "scores": "log-likelihoods of the choices with the image, in nats",
    "blind": "the same without the image",
    "answer": "index of the right choice",
}
_ANSWERS = {
    "prediction": "the answer, empty if it never ended",
    "references": "the answers that are right",
    "parsed": "False where the answer never ended",
}
FORMS: dict[str, tuple[str, str, dict[str, str], str]] = {
    "caption": (
        "Caption",
        "the likelihood of a text",
        {
            "logp": "the text's log-likelihood in nats",
            "tokens": "number of its tokens",
            "hits": "how many of them ranked first",
        },
        "caption",
    ),
    "choice": ("Choice", "a choice by likelihood", _CHOICES, "choice"),
    "yesno": ("YesOrNo", "yes or no by likelihood", _CHOICES, "yesno"),
    "generate": ("Generated", "a generated answer", _ANSWERS, "exact-match"),
    "vqa": (
        "ByPeople",
        "a generated answer against those of four people or more",
        _ANSWERS,
        "vqa-accuracy",
    ),
}


@hookimpl
def fedbench_register_forms() -> Iterator[FormSpec]:
    """Register the ways to ask that come with the package."""
    for name, (form, summary, columns, metric) in FORMS.items():
        yield FormSpec(name, f"fedbench.evaluation.forms:{form}", summary, columns, metric)


METRICS: dict[str, tuple[str, str, tuple[str, ...], str]] = {
    "caption": (
        "metrics:CaptionLikelihood",
        "caption",
        ("nll", "token_accuracy"),
        "likelihood of held-out text",
    ),
    "choice": (
        "metrics:ChoiceAccuracy",
        "choice",
        ("accuracy", "raw_accuracy"),
        "choice against the blind prior",
    ),
    "yesno": (
        "metrics:YesNo",
        "yesno",
        ("accuracy", "f1", "yes_ratio", "balanced_accuracy"),
        "POPE's figures for yes/no questions",
    ),
    "exact-match": (
        "metrics:ExactMatch",
        "generate",
        ("exact_match", "unparsed"),
        "greedy answers equal to a reference",
    ),
    "token-f1": (
        "answer_metrics:TokenF1",
        "generate",
        ("token_f1",),
        "words in common with a reference (SQuAD)",
    ),
    "anls": (
        "answer_metrics:ANLS",
        "generate",
        ("anls",),
        "edit distance to a reference, normalised (DocVQA)",
    ),
    "relaxed-accuracy": (
        "answer_metrics:RelaxedAccuracy",
        "generate",
        ("relaxed_accuracy",),
        "numbers within 5 %, other answers equal (ChartQA)",
    ),
    "vqa-accuracy": (
        "answer_metrics:VQAAccuracy",
        "vqa",
        ("vqa_accuracy",),
        "how many people gave the answer (VQA)",
    ),
}


@hookimpl
def fedbench_register_metrics() -> Iterator[MetricSpec]:
    """Register the metrics of every form of item."""
    for name, (metric, form, values, summary) in METRICS.items():
        yield MetricSpec(name, f"fedbench.evaluation.{metric}", summary, form, values)


PACKAGED, CHECKOUT = (
    Path(__file__).parent / "leaderboard" / "boards",
    Path(__file__).parents[1] / "leaderboards",
)
"""Where the boards lie in a wheel, and in a checkout."""


@hookimpl
def fedbench_register_leaderboards() -> Iterator[LeaderboardSpec]:
    """Register the boards that come with the package."""
    folder = PACKAGED if PACKAGED.is_dir() else CHECKOUT
    yield from map(LeaderboardSpec, sorted(folder.glob("*.toml")))


@hookimpl
def fedbench_register_publishers() -> Iterator[PublisherSpec]:
    """Register the places a site can be published to."""
    at = "fedbench.leaderboard.publishers"
    yield PublisherSpec("git", f"{at}.git:GitPublisher", "a branch of a git remote: git:REMOTE#BRANCH")
    yield PublisherSpec("hf", f"{at}.hub:HubPublisher", "a static Space or a dataset: hf:USER/NAME")
