"""The runs behind the finding about MoR: every method on every benchmark, and MoR's ablations."""

from __future__ import annotations

from study import Study

BENCHMARKS = ("prefs-emoji-tasks", "prefs-domains")
SKEWED = "prefs-skewed"
OTHERS = ("prefs-easyvqa-tasks", SKEWED)
HETEROGENEOUS = "prefs-heterogeneous"
ANCHORS = ("start", "gold-reward")
FUSERS = (
    "mor",
    "reward-mean",
    "reward-random",
    "reward-single",
    "reward-min",
    "reward-max",
    "pluralllm",
)
EXCHANGES = ("reward-fedavg", "fedavg-dpo")
EVERYONE = (*ANCHORS, *FUSERS, *EXCHANGES)

MAIN = [Study(scenarios=(name,), methods=EVERYONE, seeds=5) for name in BENCHMARKS]
MORE = [
    *(Study(scenarios=(name,), methods=EVERYONE, seeds=5) for name in OTHERS),
    # Reward models of three architectures have no average.
    Study(scenarios=(HETEROGENEOUS,), methods=(*ANCHORS, *FUSERS, "fedavg-dpo"), seeds=5),
]
ABLATIONS = [
    Study(scenarios=BENCHMARKS, methods=("mor",), options=options)
    for options in (
        {"routing": "top1"},
        {"routing": "soft"},
        {"routing": "topk"},
        {"normalise": False},
        {"feedback": "delta_j"},
        {"feedback": "delta_val"},
        {"feedback": "delta_j", "literal_feedback": True},
        {"head_lr": 0.1},
        {"loss": "ce"},
        {"rounds": 5, "steps": 20},
    )
]
ONLINE = [
    Study(scenarios=(SKEWED,), methods=("mor",), options=options)
    for options in (
        {"routing": "top1"},
        {"feedback": "delta_j"},
        {"feedback": "delta_val"},
        {"feedback": "delta_j", "literal_feedback": True},
        {"head_lr": 0.1},
    )
]
"""MoR's options on the scenario where the fitted router is not always right."""
STUDIES = [*MAIN, *ABLATIONS, *MORE, *ONLINE]
