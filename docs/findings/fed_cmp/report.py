"""Write ``docs/findings/fed-cmp.md`` and its pictures from the committed records.

``python docs/findings/fed_cmp/report.py``: every number of the finding is computed here.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from statistics import fmean
from typing import Any

import click
import numpy as np
import torch
from jinja2 import Environment, FileSystemLoader, StrictUndefined
from safetensors.numpy import load_file
from scipy.stats import ttest_1samp
from tabulate import tabulate

from fedbench.catalog import Catalog
from fedbench.data.heterogeneity import heterogeneity
from fedbench.data.loading import load_data, load_partition
from fedbench.errors import UsageError
from fedbench.plugins import Plugins
from fedbench.results.curves import curve
from fedbench.results.plots import learning_curves, save
from fedbench.results.record import Record
from fedbench.results.runs import Run, run_of
from fedbench.results.statistics import standard_error
from fedbench.results.store import find_records, read_record
from fedbench.runner import Runner
from fedbench.scenario import load_scenario
from first_round import identity_gap, mean_agreement
from runs import ANCHORS, CORNERS, OPTIONS, PAPER, SCENARIOS, STEPS, Study

HERE = Path(__file__).parent
RECORDS = HERE.parent.parent.parent / "leaderboards" / "records"
REFERENCE = "fedavg"
CONFIDENCE = 0.95
EQUAL = 1e-9
"""Differences that are all the same have no interval."""


@dataclass(frozen=True)
class Paired:
    """A mean difference over shared seeds with its t interval."""

    mean: float
    low: float | None
    high: float | None
    seeds: int

    @property
    def clear(self) -> bool:
        """Whether the interval leaves zero out."""
        return self.low is not None and self.high is not None and not self.low <= 0 <= self.high

    def __str__(self) -> str:
        if self.low is None:
            return f"{self.mean:+.3f}"
        return f"{self.mean:+.3f} [{self.low:+.3f}, {self.high:+.3f}]" + (" *" if self.clear else "")


class Results:
    """Completed records of the installed scenarios: by scenario, changes, method and options; by seed."""

    def __init__(self, records: Iterable[Record], catalog: Catalog) -> None:
        self._catalog = catalog
        self._found: dict[tuple[Any, ...], dict[int, Record]] = defaultdict(dict)
        self._defaults: dict[str, dict[str, Any]] = {}
        self._fingerprints: dict[tuple[Any, ...], str] = {}
        for record in records:
            key = (record.scenario.name, _frozen(record.scenario.changes))
            if record.scenario.name not in SCENARIOS:
                continue
            if record.scenario.fingerprint != self._fingerprint(*key):
                continue  # of another version
            seeds = self._found[(*key, record.method.name, _frozen(record.method.options))]
            if record.seed in seeds:
                raise UsageError(f"two records of {key} {record.method.name} seed {record.seed}")
            seeds[record.seed] = record

    def __len__(self) -> int:
        return sum(map(len, self._found.values()))

    def get(self, study: Study, method: str, scenario: str) -> dict[int, Record]:
        """The runs of a study's method on a scenario, by seed."""
        if method not in self._defaults:
            self._defaults[method] = self._catalog.methods[method].options().model_dump(mode="json")
        options = _frozen(self._defaults[method] | study.options)
        found = self._found.get((scenario, _frozen(study.changes), method, options), {})
        return dict(sorted(found.items()))

    def _fingerprint(self, scenario: str, changes: tuple[tuple[str, Any], ...]) -> str:
        if (scenario, changes) not in self._fingerprints:
            path = self._catalog.scenarios[scenario].spec.path
            self._fingerprints[scenario, changes] = load_scenario(path, dict(changes)).fingerprint
        return self._fingerprints[scenario, changes]

    def values(self, study: Study, method: str, scenario: str, name: str | None = None) -> dict[int, float]:
        found = self.get(study, method, scenario)
        return {seed: run_of(r).measure(name or r.primary).value for seed, r in found.items()}

    def difference(
        self,
        study: Study,
        method: str,
        scenario: str,
        against: Study | None = None,
        name: str | None = None,
        seeds: Sequence[int] | None = None,
    ) -> Paired | None:
        """``method`` minus FedAvg, paired by seed (by ``seeds`` only, if given)."""
        ours = self.values(study, method, scenario, name)
        theirs = self.values(against or Study(), REFERENCE, scenario, name)
        shared = sorted(set(ours) & set(theirs) & set(ours if seeds is None else seeds))
        return paired([ours[seed] - theirs[seed] for seed in shared]) if shared else None

    def ranking(self, scenario: str) -> list[str]:
        """The paper's nine methods on a scenario, best mean first."""
        means = {m: fmean(self.values(Study(), m, scenario).values()) for m in PAPER}
        return sorted(means, key=lambda method: -means[method])


def paired(differences: Sequence[float]) -> Paired:
    mean, count = fmean(differences), len(differences)
    if count < 2 or max(differences) - min(differences) < EQUAL:
        return Paired(mean, None, None, count)
    low, high = ttest_1samp(differences, 0).confidence_interval(CONFIDENCE)
    return Paired(mean, float(low), float(high), count)


def main_table(results: Results) -> str:
    rows = []
    for method in (*ANCHORS[::-1], *PAPER):
        row = {"method": method}
        means = []
        for scenario in SCENARIOS:
            values = list(results.values(Study(), method, scenario).values())
            row[scenario] = with_error(values)
            means += [fmean(values)] if values else []
        rows.append((fmean(means) if means else 0.0, row | {"mean": f"{fmean(means):.3f}" if means else ""}))
    ordered = [row for _, row in sorted(rows, key=lambda pair: -pair[0])]
    return table(ordered)


def difference_table(results: Results) -> str:
    rows = []
    for method in PAPER:
        if method != REFERENCE:
            found = [results.difference(Study(), method, scenario) for scenario in SCENARIOS]
            rows.append({"minus fedavg": method, **dict(zip(SCENARIOS, map(_text, found), strict=True))})
    return table(rows)


def study_table(results: Results, studies: Sequence[Study], scenario: str = "emoji-ii") -> str:
    """Fed-CMP under each study's options, on the seeds that all of them share, and its paired differences."""
    every = [Study(), *studies]
    found = [results.values(study, "fed-cmp", scenario) for study in every]
    shared = sorted(set.intersection(*(set(values) for values in found)))
    rows = []
    for study, values in zip(every, found, strict=True):
        against = [values[seed] - found[0][seed] for seed in shared]
        rows.append(
            {
                "fed-cmp with": named(study),
                "measure": with_error([values[seed] for seed in shared]),
                "minus fedavg": _text(results.difference(study, "fed-cmp", scenario, seeds=shared)),
                "minus the printed method": _text(paired(against) if study.options else None),
            }
        )
    return f"Seeds {', '.join(map(str, shared))}.\n\n" + table(rows)


def steps_table(results: Results, scenario: str = "emoji-ii") -> str:
    rows = []
    for study in (Study(), *STEPS):
        found = results.get(study, "fed-cmp", scenario)
        if not found:
            continue
        last = next(iter(found.values()))
        rounds = last.rounds[-1].round
        batch = study.changes.get("training.batch_size", 16)
        per_round = fmean(last.data.client_examples) / rounds
        rows.append(
            {
                "rounds": rounds,
                "batch": batch,
                "local steps a round": f"{per_round / batch:.0f}",
                "fedavg": with_error(list(results.values(study, REFERENCE, scenario).values())),
                "fed-cmp": with_error(list(results.values(study, "fed-cmp", scenario).values())),
                "fed-cmp minus fedavg": _text(results.difference(study, "fed-cmp", scenario, study)),
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
                row[method] = with_error(list(results.values(Study(), method, scenario, name).values()))
            row["difference"] = _text(results.difference(Study(), "fed-cmp", scenario, name=name))
            rows.append(row)
    return table(rows)


def inside_table(results: Results, study: Study, scenario: str = "emoji-ii") -> str:
    """What Fed-CMP said of itself each round, mean over seeds."""
    found = list(results.get(study, "fed-cmp", scenario).values())
    matrices = sorted(k.partition(":")[2] for k in found[0].rounds[-1].diagnostics if k.startswith("beta:"))
    rows = []
    for number in range(2, found[0].rounds[-1].round + 1):
        notes = [record.rounds[number].diagnostics for record in found]
        row = {"round": str(number)}
        for matrix in matrices:
            row[f"β {matrix}"] = f"{fmean(note[f'beta:{matrix}'] for note in notes):.2f}"
            row[f"mean abs cos {matrix}"] = f"{fmean(note[f'mean_abs_cos:{matrix}'] for note in notes):.2f}"
        row["largest weight"] = f"{fmean(max(note['weights']) for note in notes):.2f}"
        row["smallest"] = f"{fmean(min(note['weights']) for note in notes):.2f}"
        rows.append(row)
    return table(rows)


def learning_table(results: Results, scenario: str = "emoji-ii") -> str:
    """Steadiness and the spread over clients."""
    rows = []
    for method in (*PAPER, "centralized"):
        found = list(results.get(Study(), method, scenario).values())
        if found:
            curves = [c for record in found if (c := curve(record)) is not None]
            spreads = [record.spread for record in found if record.spread is not None]
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
        data = load_data(scenario, runner.catalog)
        partition = load_partition(scenario, runner.catalog, data)
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


def named(study: Study) -> str:
    return " ".join(f"{key}={value}" for key, value in study.options.items()) or "the printed method"


def with_error(values: Sequence[float]) -> str:
    if not values:
        return ""
    error = standard_error(values)
    return f"{fmean(values):.3f}" + (f" ± {error:.3f}" if error is not None else "")


def table(rows: Sequence[dict[str, Any]]) -> str:
    return tabulate(rows, headers="keys", tablefmt="github", disable_numparse=True)


def _text(found: Paired | None) -> str:
    return "" if found is None else str(found)


def _frozen(values: dict[str, Any]) -> tuple[tuple[str, Any], ...]:
    return tuple(sorted(values.items()))


def holds(condition: bool) -> str:
    """For the template: a sentence that the numbers no longer bear out stops the report."""
    if not condition:
        raise UsageError("the text of the finding no longer holds", fix="change fed-cmp.md.jinja")
    return ""


def _mean(results: Results, method: str, scenario: str = "emoji-ii", **options: Any) -> float:
    """For the template: a method's mean measure."""
    return fmean(results.values(Study(options=options), method, scenario).values())


def _drop(results: Results, method: str) -> float:
    """For the template: the mean drop from the best so far."""
    curves = [curve(record) for record in results.get(Study(), method, "emoji-ii").values()]
    return fmean(found.instability for found in curves if found is not None)


def _value(results: Results, method: str, scenario: str = "emoji-ii", **options: Any) -> str:
    """For the template: a method's measure, mean ± standard error."""
    return with_error(list(results.values(Study(options=options), method, scenario).values()))


def _minus_fedavg(results: Results, method: str, scenario: str = "emoji-ii", **options: Any) -> str:
    """For the template: a method's paired difference to FedAvg with its interval."""
    return _text(results.difference(Study(options=options), method, scenario))


def _runs(records: Mapping[int, Record]) -> list[Run]:
    return [run_of(record) for record in records.values()]


def pictures(results: Results, folder: Path) -> None:
    """Learning curves: every method on the four scenarios, and Fed-CMP's readings on one."""
    folder.mkdir(parents=True, exist_ok=True)
    panels = {
        scenario: {m: _runs(results.get(Study(), m, scenario)) for m in (*PAPER, "centralized")}
        for scenario in SCENARIOS
    }
    save(learning_curves(panels), folder / "fed-cmp-curves.svg")
    readings = {
        named(study): _runs(results.get(study, "fed-cmp", "emoji-ii")) for study in (Study(), *OPTIONS)
    }
    fedavg = {"fedavg": _runs(results.get(Study(), REFERENCE, "emoji-ii"))}
    save(learning_curves({"emoji-ii": fedavg | readings}), folder / "fed-cmp-readings.svg")


@click.command()
@click.option("--records", type=click.Path(path_type=Path, exists=True), default=RECORDS)
@click.option("--out", type=click.Path(path_type=Path), default=HERE.parent / "fed-cmp.md")
def main(records: Path, out: Path) -> None:
    torch.set_num_threads(1)
    runner = Runner(Catalog(Plugins()), torch.device("cpu"))
    results = Results((read_record(path) for path in find_records([records])), runner.catalog)
    pictures(results, out.parent / "images")
    agreement = {name: mean_agreement(runner, name) for name in SCENARIOS}
    environment = Environment(
        loader=FileSystemLoader(HERE), undefined=StrictUndefined, keep_trailing_newline=True
    )
    text = environment.get_template("fed-cmp.md.jinja").render(
        holds=holds,
        ranking=results.ranking,
        main_seeds=min(
            len(results.get(Study(), method, name)) for name in SCENARIOS for method in (*PAPER, *ANCHORS)
        ),
        best_on_average=max(PAPER, key=lambda m: fmean(_mean(results, m, s) for s in SCENARIOS)),
        alike=sorted(SCENARIOS, key=lambda name: -agreement[name]),
        drop=partial(_drop, results),
        scenarios=SCENARIOS,
        identity_gap=f"{identity_gap(runner, 'emoji-ii'):.1e}",
        mean=partial(_mean, results),
        value=partial(_value, results),
        minus_fedavg=partial(_minus_fedavg, results),
        records=len(results),
        heterogeneity=heterogeneity_table(runner, agreement),
        main_table=main_table(results),
        difference_table=difference_table(results),
        corners=study_table(results, CORNERS),
        options=study_table(results, OPTIONS),
        steps=steps_table(results),
        others=other_measures(results),
        inside=inside_table(results, Study()),
        learning=learning_table(results),
    )
    out.write_text(text, encoding="utf-8")
    click.echo(out)


if __name__ == "__main__":
    main()
