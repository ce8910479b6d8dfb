"""The words of a finding: means, paired differences, verdicts, tables, sentences that can fail."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from statistics import fmean
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from matplotlib.figure import Figure
from tabulate import tabulate

from fedbench.errors import UsageError
from fedbench.results.own_part import ALL
from fedbench.results.pictures import learning_curves
from fedbench.results.records import Record
from fedbench.results.run_summary import RunSummary, run_of
from fedbench.results.statistics import Interval, interval, standard_error
from study import Study


def difference(
    ours: Mapping[int, float], theirs: Mapping[int, float], seeds: Iterable[int] | None = None
) -> Interval | None:
    """``ours`` minus ``theirs``, paired by seed (by ``seeds`` only, if given); None if they share no seed."""
    shared = sorted(set(ours) & set(theirs) & set(ours if seeds is None else seeds))
    return interval([ours[seed] - theirs[seed] for seed in shared]) if shared else None


def with_error(values: Iterable[float]) -> str:
    """Mean ± standard error; empty without values."""
    values = list(values)
    if not values:
        return ""
    error = standard_error(values)
    return f"{fmean(values):.3f}" + (f" ± {error:.3f}" if error is not None else "")


def verdict(gap: Interval | None) -> str:
    """Whether the claim that ``gap`` is above zero holds; equal values of all seeds decide as well."""
    if gap is None:
        return "no runs yet"
    if gap.n < 2 or not (gap.clear or gap.low == gap.high):
        return "undecided here"
    return "holds here" if gap.clear and gap.mean > 0 else "does not hold here"


def curves(panels: Mapping[str, Mapping[str, Sequence[Record]]]) -> Figure:
    """Learning curves of records, by scenario and line."""
    return learning_curves(
        {
            title: {name: [_run(record) for record in records] for name, records in lines.items()}
            for title, lines in panels.items()
        }
    )


def _run(record: Record) -> RunSummary:
    """The record's run, whose primary curve is over all items, of a personalised method, too."""
    run = run_of(record)
    everything = run.curves.get(f"{run.primary}/{ALL}")
    return replace(run, curves=dict(run.curves) | {run.primary: everything}) if everything else run


def text(gap: Interval | None) -> str:
    """Mean and interval, with a star if the interval leaves zero out; the mean alone if all seeds agree."""
    if gap is None:
        return ""
    if gap.low == gap.high:
        return f"{gap.mean:+.3f}"
    return f"{gap.mean:+.3f} [{gap.low:+.3f}, {gap.high:+.3f}]" + (" *" if gap.clear else "")


def named(study: Study, plain: str) -> str:
    """The study's options as its name; ``plain`` if it sets none."""
    return " ".join(f"{key}={value}" for key, value in study.options.items()) or plain


def table(rows: Sequence[dict[str, Any]]) -> str:
    """A Markdown table."""
    return tabulate(rows, headers="keys", tablefmt="github", disable_numparse=True)


def holds(condition: bool) -> str:
    """Stop the report if a sentence of its template is no longer true of the numbers; else write nothing."""
    if not condition:
        raise UsageError("the text of the finding no longer holds", fix="change its template")
    return ""


def rendered(template: Path, contents: Mapping[str, Any]) -> str:
    """The page: ``template`` filled in with ``contents``, all of which must be there."""
    environment = Environment(
        loader=FileSystemLoader(template.parent),
        undefined=StrictUndefined,
        keep_trailing_newline=True,
        finalize=_as_text,
    )
    return environment.get_template(template.name).render(holds=holds, **contents)


def _as_text(value: object) -> object:
    if value is None:
        return "(no runs yet)"
    return text(value) if isinstance(value, Interval) else value
