"""Tables of how well the policy does: every method, every ablation, every feedback signal."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import product
from statistics import fmean

from mor.cells import Options, cell, gap, online
from mor.readers import MEASURES, called_good
from mor.studies import ABLATIONS, EVERYONE
from reporting import named, table, text
from results import Reader, Results, primary
from study import Study

STANDS = "nothing changed"
FEEDBACK: dict[str, Options] = {
    "mean reward over its moving average (the default)": {},
    "ΔJ": {"feedback": "delta_j"},
    "validation over its moving average": {"feedback": "delta_val"},
    "as printed: 1 where J fell": {"feedback": "delta_j", "literal_feedback": True},
    "the default, with a head that learns a hundred times faster": {"head_lr": 0.1},
}


def main_table(results: Results, scenario: str) -> str:
    """Every method by every measure, best on its own tasks first."""
    values = {method: results.values(Study(), method, scenario).values() for method in EVERYONE}
    best_first = sorted(EVERYONE, key=lambda method: -fmean(values[method] or [-1.0]))
    return table(
        [
            {"method": method} | {name: cell(results, method, scenario, r) for name, r in MEASURES.items()}
            for method in best_first
        ]
    )


def difference_table(
    results: Results, scenarios: Sequence[str], references: Sequence[str], read: Reader = primary
) -> str:
    """Every method minus each reference on each scenario."""
    rows = []
    for method in EVERYONE:
        row = {"method": method}
        for scenario, reference in product(scenarios, references):
            difference = None if method == reference else gap(results, scenario, method, reference, read)
            row[f"{scenario}, minus {reference}"] = text(difference)
        rows.append(row)
    return table(rows)


def ablation_table(results: Results, scenarios: Sequence[str], read: Reader = primary) -> str:
    """MoR under each study's options, and its paired differences to MoR as it stands, on the same seeds."""
    seeds = min(study.seeds for study in ABLATIONS)
    stands = {name: cell(results, "mor", name, read, seeds=seeds) for name in scenarios}
    rows = [{"mor with": STANDS} | stands]
    for study in ABLATIONS:
        row = {"mor with": named(study, STANDS)}
        for name in scenarios:
            row[name] = cell(results, "mor", name, read, study.options)
            row[f"{name}, minus mor"] = text(gap(results, name, "mor", "mor", read, ours=study.options))
        rows.append(row)
    return table(rows)


def feedback_table(results: Results, scenarios: Sequence[str]) -> str:
    """Each feedback signal minus the router that learns nothing more (``top1``), and what it changed in the
    routing."""
    rows = []
    for words, options in FEEDBACK.items():
        row = {"feedback": words}
        for name in scenarios:
            row[f"{name}, good steps"] = cell(results, "mor", name, called_good, options)
        for name in scenarios:
            difference = gap(results, name, "mor", "mor", ours=options, theirs={"routing": "top1"})
            row[f"{name}, minus top1"] = text(difference)
            right = online(results, name, "router/pairwise_accuracy", options)
            row[f"{name}, right pairs gained"] = text(right)
        rows.append(row)
    return table(rows)
