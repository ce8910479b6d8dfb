"""The tables, pictures and numbers of the finding about Fed-CMP."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from statistics import fmean
from typing import Any

import numpy as np
from safetensors.numpy import load_file

from fed_cmp.first_round import identity_gap, mean_agreement
from fed_cmp.studies import ANCHORS, CORNERS, MAIN, OPTIONS, PAPER, SCENARIOS, STEPS, STUDIES
from fedbench.data.heterogeneity import heterogeneity
from fedbench.data.loading import load_data, load_partition
from fedbench.results.curves import curve
from fedbench.results.pictures import save
from fedbench.results.statistics import Interval, interval
from fedbench.runner import Runner
from fedbench.scenario_files import load_scenario
from reporting import curves, difference, named, table, text, with_error
from results import Reader, Results, final, over_all_items, primary
from study import Study

REFERENCE = "fedavg"
PRINTED = "the printed method"


def to_fedavg(
    results: Results,
    study: Study,
    method: str,
    scenario: str,
    reference: Study | None = None,
    read: Reader = primary,
    seeds: Sequence[int] | None = None,
) -> Interval | None:
    """``method`` minus FedAvg (under the options of ``reference``), paired by seed."""
    ours = results.values(study, method, scenario, read)
    theirs = results.values(reference or Study(), REFERENCE, scenario, read)
    return difference(ours, theirs, seeds)


def ranking(results: Results, scenario: str) -> list[str]:
    """The paper's nine methods on a scenario, best mean first."""
    return sorted(PAPER, key=lambda method: -_mean(results, method, scenario))


def main_table(results: Results) -> str:
    """Every method on the four scenarios, best mean first."""
    rows = []
    for method in (*ANCHORS[::-1], *PAPER):
        row = {"method": method}
        means = []
        for scenario in SCENARIOS:
            values = results.values(Study(), method, scenario).values()
            row[scenario] = with_error(values)
            means += [fmean(values)] if values else []
        rows.append((fmean(means) if means else 0.0, row | {"mean": f"{fmean(means):.3f}" if means else ""}))
    ordered = [row for _, row in sorted(rows, key=lambda pair: -pair[0])]
    return table(ordered)


def difference_table(results: Results) -> str:
    """Every method of the paper minus FedAvg on the four scenarios."""
    rows = []
    for method in PAPER:
        if method != REFERENCE:
            gaps = {name: text(to_fedavg(results, Study(), method, name)) for name in SCENARIOS}
            rows.append({"minus fedavg": method} | gaps)
    return table(rows)


def study_table(results: Results, studies: Sequence[Study], scenario: str = "emoji-ii") -> str:
    """Fed-CMP under each study's options, on the seeds that all of them share, and its paired differences."""
    every = [Study(), *studies]
    by_study = [results.values(study, "fed-cmp", scenario) for study in every]
    shared = sorted(set.intersection(*(set(values) for values in by_study)))
    rows = []
    for study, values in zip(every, by_study, strict=True):
        against = [values[seed] - by_study[0][seed] for seed in shared]
        rows.append(
            {
                "fed-cmp with": named(study, PRINTED),
                "measure": with_error([values[seed] for seed in shared]),
                "minus fedavg": text(to_fedavg(results, study, "fed-cmp", scenario, seeds=shared)),
                "minus the printed method": text(interval(against) if study.options else None),
            }
        )
    return f"Seeds {', '.join(map(str, shared))}.\n\n" + table(rows)


def steps_table(results: Results, scenario: str = "emoji-ii") -> str:
    """Fed-CMP and FedAvg under other numbers of local steps, fewest first."""
    rows = []
    for study in (Study(), *STEPS):
        records = results.get(study, "fed-cmp", scenario)
        if not records:
            continue
        last = next(iter(records.values()))
        rounds = last.rounds[-1].round
        batch = study.changes.get("training.batch_size", 16)
        per_round = fmean(last.data.client_examples) / rounds
        rows.append(
            {
                "rounds": rounds,
                "batch": batch,
                "local steps a round": f"{per_round / batch:.0f}",
                "fedavg": with_error(results.values(study, REFERENCE, scenario).values()),
                "fed-cmp": with_error(results.values(study, "fed-cmp", scenario).values()),
                "fed-cmp minus fedavg": text(to_fedavg(results, study, "fed-cmp", scenario, study)),
            }
        )
    return table(sorted(rows, key=lambda row: float(row["local steps a round"])))


def other_measures(results: Results, scenario: str = "emoji-ii") -> str:
    """Fed-CMP minus FedAvg on everything that was measured at the end."""
    some = next(iter(results.get(Study(), "fed-cmp", scenario).values()))
    rows = []
    for name, measure in sorted(some.final.items()):
        if measure.better != "neither":
            row = {"measure": name, "better": measure.better}
            for method in (REFERENCE, "fed-cmp"):
                row[method] = with_error(results.values(Study(), method, scenario, final(name)).values())
            row["difference"] = text(to_fedavg(results, Study(), "fed-cmp", scenario, read=final(name)))
            rows.append(row)
    return table(rows)


def inside_table(results: Results, study: Study, scenario: str = "emoji-ii") -> str:
    """Fed-CMP's own diagnostics of each round, mean over seeds."""
    records = list(results.get(study, "fed-cmp", scenario).values())
    last = records[0].rounds[-1]
    matrices = sorted(key.partition(":")[2] for key in last.diagnostics if key.startswith("beta:"))
    rows = []
    for number in range(2, last.round + 1):
        notes = [record.rounds[number].diagnostics for record in records]
        row = {"round": str(number)}
        for matrix in matrices:
            row[f"β {matrix}"] = f"{fmean(note[f'beta:{matrix}'] for note in notes):.2f}"
            row[f"mean abs cos {matrix}"] = f"{fmean(note[f'mean_abs_cos:{matrix}'] for note in notes):.2f}"
        row["largest weight"] = f"{fmean(max(note['weights']) for note in notes):.2f}"
        row["smallest"] = f"{fmean(min(note['weights']) for note in notes):.2f}"
        rows.append(row)
    return table(rows)


def learning_table(results: Results, scenario: str = "emoji-ii") -> str:
    """Each method's drops while it learns, and its worst clients."""
    rows = []
    for method in (*PAPER, "centralized"):
        records = list(results.get(Study(), method, scenario).values())
        if records:
            curves = [c for record in records if (c := curve(record, over_all_items(record)))]
            spreads = [record.spread for record in records if record.spread is not None]
            rows.append(
                {
                    "method": method,
                    "mean drop from the best so far": f"{fmean(c.instability for c in curves):.4f}",
                    "worst client": f"{fmean(s.worst for s in spreads):.3f}",
                    "p10 client": f"{fmean(s.p10 for s in spreads):.3f}",
                }
            )
    return table(rows)


def heterogeneity_table(runner: Runner, agreement: Mapping[str, float]) -> str:
    """How different the clients of each scenario are, by four measures."""
    rows = []
    for name in SCENARIOS:
        scenario = load_scenario(runner.catalog.scenarios[name].spec.path)
        resolved = runner.catalog.resolve(scenario)
        data = load_data(resolved)
        partition = load_partition(resolved, data)
        embeddings = load_file(scenario.folder / scenario.partition.options["file"])
        rows.append(
            {
                "scenario": name,
                "of the images' variance": f"{between(embeddings['image'], partition.train):.3f}",
                "of the texts' variance": f"{between(embeddings['text'], partition.train):.3f}",
                "category skew, bits": f"{heterogeneity(data, partition, 'category').label_skew:.3f}",
                "cosine of first updates": f"{agreement[name]:.3f}",
            }
        )
    return table(rows)


def between(points: np.ndarray, groups: Sequence[np.ndarray]) -> float:
    """The share of the points' variance that lies between the groups' means, in [0, 1]."""
    mine = [points[rows].astype(np.float64) for rows in groups]
    everyone = np.concatenate(mine)
    centre = everyone.mean(0)
    spread = sum(len(rows) * np.square(rows.mean(0) - centre).sum() for rows in mine)
    return float(spread / np.square(everyone - centre).sum())


def _mean(results: Results, method: str, scenario: str = "emoji-ii", **options: Any) -> float:
    """For the template: a method's mean measure."""
    return fmean(results.values(Study(options=options), method, scenario).values())


def _drop(results: Results, method: str) -> float:
    """For the template: the mean drop from the best so far."""
    curves = [
        curve(record, over_all_items(record)) for record in results.get(Study(), method, "emoji-ii").values()
    ]
    return fmean(c.instability for c in curves if c is not None)


def _value(results: Results, method: str, scenario: str = "emoji-ii", **options: Any) -> str:
    """For the template: a method's measure, mean ± standard error."""
    return with_error(results.values(Study(options=options), method, scenario).values())


def _minus_fedavg(results: Results, method: str, scenario: str = "emoji-ii", **options: Any) -> str:
    """For the template: a method's paired difference to FedAvg with its interval."""
    return text(to_fedavg(results, Study(options=options), method, scenario))


def pictures(results: Results, folder: Path) -> None:
    """Learning curves: every method on the four scenarios, and Fed-CMP's readings on one."""
    panels = {
        scenario: {m: list(results.get(Study(), m, scenario).values()) for m in (*PAPER, "centralized")}
        for scenario in SCENARIOS
    }
    save(curves(panels), folder / "fed-cmp-curves.svg")
    readings = {
        named(study, PRINTED): list(results.get(study, "fed-cmp", "emoji-ii").values())
        for study in (Study(), *OPTIONS)
    }
    fedavg = {"fedavg": list(results.get(Study(), REFERENCE, "emoji-ii").values())}
    save(curves({"emoji-ii": fedavg | readings}), folder / "fed-cmp-readings.svg")


def contents(results: Results, runner: Runner) -> dict[str, Any]:
    """What the template fills in."""
    agreement = {name: mean_agreement(runner, name) for name in SCENARIOS}
    return {
        "ranking": partial(ranking, results),
        "main_seeds": min(map(results.seeds, MAIN)),
        "best_on_average": max(PAPER, key=lambda m: fmean(_mean(results, m, s) for s in SCENARIOS)),
        "alike": sorted(SCENARIOS, key=lambda name: -agreement[name]),
        "drop": partial(_drop, results),
        "scenarios": SCENARIOS,
        "identity_gap": f"{identity_gap(runner, 'emoji-ii'):.1e}",
        "mean": partial(_mean, results),
        "value": partial(_value, results),
        "minus_fedavg": partial(_minus_fedavg, results),
        "records": results.count(STUDIES),
        "heterogeneity": heterogeneity_table(runner, agreement),
        "main_table": main_table(results),
        "difference_table": difference_table(results),
        "corners": study_table(results, CORNERS),
        "options": study_table(results, OPTIONS),
        "steps": steps_table(results),
        "others": other_measures(results),
        "inside": inside_table(results, Study()),
        "learning": learning_table(results),
    }
