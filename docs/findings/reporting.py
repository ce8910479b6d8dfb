"""How a finding says it: means, paired differences, verdicts, tables, sentences that can fail."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from statistics import fmean
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from matplotlib.figure import Figure
from tabulate import tabulate

from fedbench.errors import UsageError
from fedbench.results.pictures import learning_curves
from fedbench.results.records import Record
from fedbench.results.run_summary import run_of
from fedbench.results.statistics import Interval, interval, standard_error
from study import Study


def difference(
    ours: Mapping[int, float], theirs: Mapping[int, float], seeds: Iterable[int] | None = None
) -> Interval | None:
    """``ours`` minus ``theirs``, paired by seed (by ``seeds`` only, if given); None without a shared one."""
    shared = sorted(set(ours) & set(theirs) & set(ours if seeds is None else seeds))
    return interval([ours[seed] - theirs[seed] for seed in shared]) if shared else None


def with_error(values: Iterable[float]) -> str:
    """Mean ± standard error; empty without values."""
    values = list(values)
    if not values:
        return ""
    error = standard_error(values)
    return f"{fmean(values):.3f}" + (f" ± {error:.3f}" if error is not None else "")


def verdict(found: Interval | None) -> str:
    """On the claim that a difference is above zero; seeds that all agree that it is none decide as well."""
    if found is None:
        return "no runs yet"
    if found.n < 2 or not (found.clear or found.low == found.high):
        return "can't be told here"
    return "holds here" if found.clear and found.mean > 0 else "does not hold here"


def curves(panels: Mapping[str, Mapping[str, Sequence[Record]]]) -> Figure:
    """Learning curves of records, by scenario and line."""
    return learning_curves(
        {
            title: {name: [run_of(record) for record in found] for name, found in lines.items()}
            for title, lines in panels.items()
        }
    )


def text(found: Interval | None) -> str:
    """An interval is given where seeds differ; a star where it leaves zero out."""
    if found is None:
        return ""
    if found.low == found.high:
        return f"{found.mean:+.3f}"
    return f"{found.mean:+.3f} [{found.low:+.3f}, {found.high:+.3f}]" + (" *" if found.clear else "")


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
        finalize=_said,
    )
    return environment.get_template(template.name).render(holds=holds, **contents)


def _said(value: object) -> object:
    if value is None:
        return "(no runs yet)"
    return text(value) if isinstance(value, Interval) else value
