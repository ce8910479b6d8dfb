"""The paper's claims, each as a difference that should be above zero, and its verdict here."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from fedbench.results.statistics import Interval
from mor.cells import gap, within
from mor.readers import MEASURES, best_client, moved
from mor.studies import BENCHMARKS, HETEROGENEOUS
from reporting import table, text, verdict
from results import Reader, Results, final, primary

PUBLISHED = {
    "start": (76.40, 62.44),
    "reward-single": (65.00, 60.13),
    "reward-mean": (62.70, 61.11),
    "reward-random": (53.86, 49.98),
    "reward-fedavg": (69.70, 62.74),
    "pluralllm": (53.34, 48.18),
    "top1": (68.35, 62.82),
    "raw": (62.06, 54.19),
    "mor": (79.99, 70.07),
}
"""MME-RealWorld, three clients: own subtasks, all subtasks. ``top1``: not online; ``raw``: not normalised."""
MIXED = {"reward-single": 76.11, "reward-mean": 74.19, "reward-random": 67.58, "mor": 77.87}
"""Heterogeneous reward models, mean of three settings."""
GUESSING = 0.55
"""An AUC below this is little better than guessing."""

Gap = Callable[[Results, str], Interval | None]


@dataclass(frozen=True)
class Claim:
    """A claim. ``gap`` is above zero on a scenario where it holds; ``paper`` is the paper's number."""

    text: str
    paper: str
    gap: Gap
    scenarios: tuple[str, ...] = BENCHMARKS


def ahead(reference: str, read: Reader = primary, **options: Any) -> Gap:
    """MoR minus ``reference`` under ``options``."""
    return lambda results, scenario: gap(results, scenario, "mor", reference, read, theirs=options)


def beside(ours: Reader, theirs: Reader) -> Gap:
    """One number of MoR's own records minus another."""
    return lambda results, scenario: within(results, scenario, ours, theirs)


def _published(key: str, place: int) -> str:
    return f"{PUBLISHED['mor'][place] - PUBLISHED[key][place]:+.1f} points"


def _comparisons(measure: str, place: int) -> list[Claim]:
    """MoR against the others by one of the paper's two averages."""
    read = MEASURES[measure]
    others = {
        "the start": "start",
        "the best single client": "reward-single",
        "the average": "reward-mean",
        "a random client": "reward-random",
        "FedAvg of reward models": "reward-fedavg",
        "PluralLLM-α (a stand-in)": "pluralllm",
    }
    ablations: dict[str, tuple[str, dict[str, Any]]] = {
        "the online router helps": ("top1", {"routing": "top1"}),
        "normalisation helps": ("raw", {"normalise": False}),
    }
    return [
        *(
            Claim(
                text=f"MoR beats {words}, {measure}",
                paper=_published(name, place),
                gap=ahead(name, read),
            )
            for words, name in others.items()
        ),
        *(
            Claim(
                text=f"{words}, {measure}",
                paper=_published(key, place),
                gap=ahead("mor", read, **options),
            )
            for words, (key, options) in ablations.items()
        ),
    ]


ACCURACY = [*_comparisons("own tasks", 0), *_comparisons("overall", 1)]
MECHANISM = [
    Claim(
        text="the router's pairwise accuracy beats each client's",
        paper="69.8 against 57.7, 50.1 and 38.2 %",
        gap=beside(final("router/pairwise_accuracy"), best_client),
    ),
    Claim(
        text="MoR moves less than an exchange of all parameters, MB",
        paper="4,456 against 107,421 MB",
        gap=lambda results, scenario: gap(results, scenario, "fedavg-dpo", "mor", moved),
    ),
    Claim(
        text="MoR moves more than an exchange of small modules, MB",
        paper="4,456 against 214 MB",
        gap=ahead("reward-fedavg", moved),
    ),
    Claim(
        text=f"membership inference stays near guessing (AUC below {GUESSING})",
        paper="AUC 49.7 %",
        gap=beside(lambda record: GUESSING, final("rewards/membership_auc")),
    ),
    Claim(
        text="normalisation lowers membership inference's AUC (clients mixed)",
        paper="from 51.4 to 49.7 %",
        gap=beside(final("rewards/membership_auc_mixed_raw"), final("rewards/membership_auc_mixed")),
    ),
]
HETEROGENEITY = [
    Claim(
        text=f"MoR beats {words} with reward models of three kinds",
        paper=f"{MIXED['mor'] - MIXED[name]:+.1f} points",
        gap=ahead(name),
        scenarios=(HETEROGENEOUS,),
    )
    for words, name in (
        ("the best single client", "reward-single"),
        ("the average", "reward-mean"),
        ("a random client", "reward-random"),
    )
]
CLAIMS = [*ACCURACY, *MECHANISM, *HETEROGENEITY]


def claims_table(results: Results, claims: Sequence[Claim]) -> str:
    """A row for each claim: the paper's number, and on each scenario the difference and the verdict."""
    rows = []
    for claim in claims:
        row = {"claim": claim.text, "in the paper": claim.paper}
        for scenario in claim.scenarios:
            gap = claim.gap(results, scenario)
            row[scenario] = f"**{verdict(gap)}** {text(gap)}".strip()
        rows.append(row)
    return table(rows)


def tally(results: Results, claims: Sequence[Claim]) -> Counter[str]:
    """How often each verdict falls, over claims and their scenarios."""
    return Counter(verdict(claim.gap(results, name)) for claim in claims for name in claim.scenarios)
