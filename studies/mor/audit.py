"""Tables of what lies behind the results: reward models, router, bytes, over-optimisation, privacy."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from math import log
from statistics import fmean

from fedbench.results.statistics import Interval
from mor.cells import cell, over_rounds, within
from mor.readers import (
    after_first_round,
    at_start,
    best_client,
    down,
    down_before,
    last,
    moved,
    of_client,
    up,
    up_before,
)
from mor.setting import Setting
from mor.studies import ABLATIONS, ANCHORS, EVERYONE, FUSERS
from reporting import named, table, text
from results import Reader, Results, final, primary
from study import Study

PAIRS = "router/pairwise_accuracy"
ROUTING = {"right pairs": PAIRS, "own client": "router/own_client", "entropy": "router/entropy"}
BYTES: dict[str, Reader] = {
    "up, before the policy": up_before,
    "up, in all": up,
    "down, before the policy": down_before,
    "down, in all": down,
    "both ways": moved,
}


def reward_table(results: Results, settings: Mapping[str, Setting]) -> str:
    """The clients' reward models, one by one."""
    columns = {
        "right, all pairs": "accuracy",
        "right, own pairs": "own_accuracy",
        "μ": "mean",
        "σ": "deviation",
    }
    return table(
        [
            {"scenario": "" if number else name, "client": client.task}
            | {title: cell(results, "mor", name, of_client(number, key)) for title, key in columns.items()}
            for name, setting in settings.items()
            for number, client in enumerate(setting.clients)
        ]
    )


def accuracy_table(results: Results, scenarios: Iterable[str]) -> str:
    """The reward models together, and what fusing makes of them."""
    columns = {
        "clients, all pairs": final("rewards/pairwise_accuracy"),
        "clients, own pairs": final("rewards/own_accuracy"),
        "Brier, own pairs": final("rewards/brier"),
        "best client, all pairs": best_client,
        "mor, all pairs": final(PAIRS),
    }
    return table(
        [
            {"scenario": name}
            | {title: cell(results, "mor", name, read) for title, read in columns.items()}
            | {"reward-mean, all pairs": cell(results, "reward-mean", name, final(PAIRS))}
            for name in scenarios
        ]
    )


def router_table(results: Results, scenario: str) -> str:
    """How right a fused reward is and how it routes, as fitted and at the end, over the ablations' seeds."""
    seeds = min(study.seeds for study in ABLATIONS)
    mixtures = [("mor", study, named(study, "mor")) for study in (Study(), *ABLATIONS)]
    fixed = [(name, Study(), name) for name in FUSERS if name != "mor"]
    rows = []
    for method, study, words in mixtures + fixed:
        if not results.get(study, method, scenario):
            continue
        row = {"fused by": words}
        for title, name in ROUTING.items():
            for when, read in (("fitted", at_start(name)), ("at the end", final(name))):
                row[f"{title}, {when}"] = cell(
                    results, method, scenario, read, options=study.options, seeds=seeds
                )
        rows.append(row)
    return table(rows)


def evenness(results: Results, name: str, clients: int) -> float | None:
    """The entropy of MoR's mean routing at the end, as a share of the highest; the least over seeds."""
    entropies = results.values(Study(), "mor", name, final("router/entropy")).values()
    return min(entropies) / log(clients) if entropies else None


def bytes_table(results: Results, scenarios: Iterable[str]) -> str:
    """Megabytes in each direction: before the policy's first step, and in all."""
    rows = []
    for name in scenarios:
        for method in EVERYONE:
            if method not in ANCHORS:
                row = {"scenario": name, "method": method}
                for title, read in BYTES.items():
                    megabytes = results.values(Study(), method, name, read).values()
                    row[title] = f"{fmean(megabytes):,.2f}" if megabytes else ""
                rows.append(row)
    return table(rows)


def pursuit_table(results: Results, scenario: str) -> str:
    """Proxy reward, gold reward and the measure while the policy learns, last round minus first."""
    rows = []
    for method in EVERYONE:
        if gold := over_rounds(results, scenario, method, "policy/gold"):
            proxy = over_rounds(results, scenario, method, "policy/reward")
            own = within(results, scenario, primary, after_first_round, method)
            rows.append(
                {
                    "method": method,
                    "proxy": text(proxy),
                    "gold": text(gold),
                    "own tasks": text(own),
                    "KL, last round": cell(results, method, scenario, last("policy/kl")),
                    "over-optimised": overoptimised(proxy, own),
                }
            )
    return table(rows)


def overoptimised(proxy: Interval | None, truth: Interval | None) -> str:
    """Whether the rewards rose for answers that got worse."""
    if proxy is None or truth is None or not truth.clear:
        return "undecided"
    return "yes" if truth.mean < 0 < proxy.mean and proxy.clear else "no"


def privacy_table(results: Results, scenarios: Iterable[str]) -> str:
    """AUC of an attacker who takes a high reward for a sign that a reward model was fitted on an answer."""
    normalised, raw = final("rewards/membership_auc_mixed"), final("rewards/membership_auc_mixed_raw")
    return table(
        [
            {
                "scenario": name,
                "within a client": cell(results, "mor", name, final("rewards/membership_auc")),
                "mixed, normalised": cell(results, "mor", name, normalised),
                "mixed, raw": cell(results, "mor", name, raw),
                "mixed, raw minus normalised": text(within(results, name, raw, normalised)),
            }
            for name in scenarios
        ]
    )
