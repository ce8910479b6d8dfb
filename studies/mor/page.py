"""The numbers, tables and pictures of the finding about MoR."""

from __future__ import annotations

from collections import Counter
from functools import partial
from math import inf
from pathlib import Path
from statistics import fmean
from typing import Any

from fedbench.results.pictures import paths, save
from fedbench.runner import Runner
from mor import audit, tables
from mor.cells import Options, cell, gap
from mor.claims import ACCURACY, CLAIMS, HETEROGENEITY, MECHANISM, claims_table, tally
from mor.readers import MEASURES, at_start, before, best_client, called_good, moved
from mor.setting import Setting, setting_of, setting_table, training_table
from mor.studies import (
    ANCHORS,
    BENCHMARKS,
    EVERYONE,
    HETEROGENEOUS,
    MAIN,
    MORE,
    OTHERS,
    SKEWED,
    STUDIES,
)
from reporting import curves, verdict
from results import Reader, Results, final, primary
from study import Study

SCENARIOS = (*BENCHMARKS, *OTHERS, HETEROGENEOUS)


def contents(results: Results, runner: Runner) -> dict[str, Any]:
    """What the template fills in."""
    settings = {name: setting_of(runner.catalog, name) for name in SCENARIOS}
    return {
        "records": results.count(STUDIES),
        "missing": results.missing(STUDIES),
        "seeds": results.seeds,
        "studies": {name: study for study in (*MAIN, *MORE) for name in study.scenarios},
        "benchmarks": BENCHMARKS,
        "skewed": SKEWED,
        "others": (*OTHERS, HETEROGENEOUS),
        "scenarios": {name: setting.scenario for name, setting in settings.items()},
        "items": min(items(results, name) for name in SCENARIOS),
        "router_rounds": runner.catalog.methods["mor"].options().rounds,
        "reward_rounds": " or ".join(sorted({str(reward_rounds(setting)) for setting in settings.values()})),
        "steps": " or ".join(sorted({str(setting.steps) for setting in settings.values()})),
        "measures": MEASURES,
        "mean": partial(mean, results),
        "value": partial(value, results),
        "final": final,
        "at_start": at_start,
        "moved": moved,
        "called_good": called_good,
        "best_client": best_client,
        "gap": partial(gap, results),
        "verdict": verdict,
        "best": partial(best, results),
        "before": partial(before_share, results),
        "evenness": {
            name: audit.evenness(results, name, len(setting.clients)) for name, setting in settings.items()
        },
        "to_pluralllm": Counter(verdict(gap(results, name, "pluralllm", "mor")) for name in SCENARIOS),
        "tally": tally(results, CLAIMS),
        "accuracy_claims": claims_table(results, ACCURACY),
        "mechanism_claims": claims_table(results, MECHANISM),
        "heterogeneity_claims": claims_table(results, HETEROGENEITY),
        "settings": setting_table(results, settings),
        "training": training_table(settings),
        "main_table": partial(tables.main_table, results),
        "difference_table": partial(tables.difference_table, results),
        "ablations": partial(tables.ablation_table, results, BENCHMARKS),
        "feedback": tables.feedback_table(results, (*BENCHMARKS, SKEWED)),
        "reward_models": audit.reward_table(results, settings),
        "accuracy": audit.accuracy_table(results, SCENARIOS),
        "router_table": partial(audit.router_table, results),
        "bytes": audit.bytes_table(results, BENCHMARKS),
        "pursuit_table": partial(audit.pursuit_table, results),
        "privacy": audit.privacy_table(results, SCENARIOS),
    }


def items(results: Results, scenario: str) -> float:
    """Number of test items of the clients' own tasks; infinite where nothing has been run."""
    counts = results.values(Study(), "start", scenario, lambda record: record.final[record.primary].n)
    return min(counts.values(), default=inf)


def reward_rounds(setting: Setting) -> int:
    """Rounds of FedAvg that average the reward models."""
    assert setting.scenario.rewards
    return setting.scenario.rewards.rounds


def value(results: Results, *place: Any, **more: Any) -> str | None:
    """The text of :func:`cell`, for a sentence; None if it is empty."""
    return cell(results, *place, **more) or None


def mean(
    results: Results, method: str, scenario: str, read: Reader = primary, options: Options | None = None
) -> float | None:
    """A method's mean over seeds; None where nothing has been run."""
    values = results.values(Study(options=options or {}), method, scenario, read).values()
    return fmean(values) if values else None


def best(results: Results, scenario: str) -> str | None:
    """The method with the best mean on its own tasks, anchors aside."""
    ranked = [method for method in EVERYONE if method not in ANCHORS]
    means = {method: score for method in ranked if (score := mean(results, method, scenario))}
    return max(means, key=lambda method: means[method], default=None)


def before_share(results: Results, scenario: str) -> float | None:
    """The share of MoR's bytes that are sent before the policy's first step."""
    first, everything = (mean(results, "mor", scenario, read) for read in (before, moved))
    return first / everything if first is not None and everything else None


def pictures(results: Results, folder: Path) -> None:
    """Learning curves on every scenario; proxy against gold reward on the benchmarks."""
    panels = {
        name: {method: list(results.get(Study(), method, name).values()) for method in EVERYONE}
        for name in SCENARIOS
    }
    save(curves(panels), folder / "mor-curves.svg")
    responses = {
        name: {method: records for method, records in panels[name].items() if method != "gold-reward"}
        for name in BENCHMARKS
    }
    save(paths(responses, "policy/reward", "policy/gold"), folder / "mor-pursuit.svg")
