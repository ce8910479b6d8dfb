"""How a finding says it: means, paired differences, verdicts, tables, sentences that can fail."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import fmean
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from matplotlib.figure import Figure
from scipy.stats import ttest_1samp
from tabulate import tabulate

from fedbench.errors import UsageError
from fedbench.results.plots import learning_curves
from fedbench.results.record import Record
from fedbench.results.runs import run_of
from fedbench.results.statistics import standard_error
from study import Study

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


def paired(differences: Sequence[float]) -> Paired:
    mean, count = fmean(differences), len(differences)
    if count < 2 or max(differences) - min(differences) < EQUAL:
        return Paired(mean, None, None, count)
    low, high = ttest_1samp(differences, 0).confidence_interval(CONFIDENCE)
    return Paired(mean, float(low), float(high), count)


def difference(
    ours: Mapping[int, float], theirs: Mapping[int, float], seeds: Iterable[int] | None = None
) -> Paired | None:
    """``ours`` minus ``theirs``, paired by seed (by ``seeds`` only, if given); None without a shared one."""
    shared = sorted(set(ours) & set(theirs) & set(ours if seeds is None else seeds))
    return paired([ours[seed] - theirs[seed] for seed in shared]) if shared else None


def with_error(values: Iterable[float]) -> str:
    """Mean ± standard error; empty without values."""
    values = list(values)
    if not values:
        return ""
    error = standard_error(values)
    return f"{fmean(values):.3f}" + (f" ± {error:.3f}" if error is not None else "")


def verdict(found: Paired | None) -> str:
    """On the claim that a difference is above zero; where it has no interval, seeds that agree decide."""
    if found is None:
        return "no runs yet"
    if found.seeds < 2 or (found.low is not None and not found.clear):
        return "can't be told here"
    return "holds here" if found.mean > EQUAL else "does not hold here"


def curves(panels: Mapping[str, Mapping[str, Sequence[Record]]]) -> Figure:
    """Learning curves of records, by scenario and line."""
    return learning_curves(
        {
            title: {name: [run_of(record) for record in found] for name, found in lines.items()}
            for title, lines in panels.items()
        }
    )


def text(found: Paired | None) -> str:
    return "" if found is None else str(found)


def named(study: Study, plain: str) -> str:
    """A study by its options; ``plain`` if it changes none."""
    return " ".join(f"{key}={value}" for key, value in study.options.items()) or plain


def table(rows: Sequence[dict[str, Any]]) -> str:
    return tabulate(rows, headers="keys", tablefmt="github", disable_numparse=True)


def holds(condition: bool) -> str:
    """For the template: a sentence that the numbers no longer bear out stops the report."""
    if not condition:
        raise UsageError("the text of the finding no longer holds", fix="change its template")
    return ""


def rendered(template: Path, contents: Mapping[str, Any]) -> str:
    environment = Environment(
        loader=FileSystemLoader(template.parent),
        undefined=StrictUndefined,
        keep_trailing_newline=True,
        finalize=lambda value: "(no runs yet)" if value is None else value,
    )
    return environment.get_template(template.name).render(holds=holds, **contents)
