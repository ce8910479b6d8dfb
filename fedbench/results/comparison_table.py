"""A comparison for reading: tables with differences and verdicts, a data frame, a picture."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from functools import cached_property
from itertools import groupby
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tabulate import tabulate

from fedbench.errors import UsageError
from fedbench.results.comparison import Compared, Summary, compare
from fedbench.results.guards import Guard
from fedbench.results.markdown import visible
from fedbench.results.run_summary import RunSummary, unusual, with_settings
from fedbench.results.settings import Setting, completed_settings
from fedbench.results.sources import Sources
from fedbench.results.views import view

if TYPE_CHECKING:
    from matplotlib.figure import Figure
    from pandas import DataFrame

Defaults = Mapping[tuple[str, str], Mapping[str, Any]]
"""The default options of the installed methods, by method and plugin."""


@dataclass(frozen=True)
class ComparisonTable:
    """The comparable rows of one scenario and measure, as text."""

    scenario: str
    """``name@version`` and what was changed; with its fingerprint if another scenario has the same name."""
    measure: str
    """What the rows are ordered by, best first, and the target if all have the same."""
    rows: Sequence[Mapping[str, str]]
    """A cell by column heading for each method; every row has the same headings."""


@dataclass(frozen=True)
class Comparison:
    """Methods side by side: means over seeds, differences paired by seed, verdicts.

    Printed, it is the table of ``fedbench compare``; a notebook shows its table and learning curves.
    """

    rows: tuple[Compared, ...]
    """A row for each method and option set on a scenario, best first."""
    broken: tuple[str, ...] = ()
    """A line for each bound of ``fail_on`` that a row exceeds."""
    defaults: Defaults = field(default_factory=dict)
    """The installed methods' default options; a row's name has the options that differ."""
    metric: str | None = None
    """The measure that was asked for; the scenarios' primary one when None."""
    left_out: tuple[str, ...] = ()
    """A line for each run that is in no row (its file is no record, or it has no number to compare), and for
    each scenario whose runs are compared apart."""

    @cached_property
    def tables(self) -> tuple[ComparisonTable, ...]:
        """A table for each scenario."""
        return tuple(
            ComparisonTable(scenario=scenario, measure=_measure(group), rows=_cells_of(group, self.defaults))
            for scenario, group in _scenarios(self.rows)
        )

    @cached_property
    def panels(self) -> Mapping[str, Mapping[str, Sequence[RunSummary]]]:
        """The runs of every row, by scenario and by the row's name."""
        panels: dict[str, dict[str, Sequence[RunSummary]]] = defaultdict(dict)
        for scenario, group in _scenarios(self.rows):
            for label, row in zip(_labels(group, self.defaults), group, strict=True):
                panels[scenario][label] = row.runs
        return panels

    def to_dicts(self) -> list[dict[str, Any]]:
        """Everything that is known of each row, with its difference from the reference."""
        return [
            asdict(row.summary) | {"difference": row.difference and asdict(row.difference)}
            for row in self.rows
        ]

    def to_frame(self) -> DataFrame:
        """A pandas row for each method on a scenario: its summary, then its difference, dotted."""
        import pandas as pd

        rows = self.to_dicts()
        differences = pd.json_normalize([row.pop("difference") or {} for row in rows])
        return pd.concat([pd.DataFrame(rows), differences.add_prefix("difference.")], axis=1)

    def figure(self) -> Figure:
        """Learning curves, costs and clients of every row, a line of panels for each scenario."""
        from fedbench.results.pictures import comparison

        return comparison(self.panels, self.metric)

    def save(self, path: str | Path) -> None:
        """Write :meth:`figure` as ``.svg``, ``.png`` or ``.pdf``."""
        from fedbench.results.pictures import picture_format, save

        picture_format(Path(path))
        save(self.figure(), Path(path))

    def __str__(self) -> str:
        """The tables as aligned text, and what is left out of them."""
        tables = [
            f"{table.scenario} · {table.measure}\n\n"
            + tabulate(table.rows, headers="keys", tablefmt="simple", disable_numparse=True)
            for table in self.tables
        ]
        return "\n\n".join([*tables, *self.left_out])

    def __repr__(self) -> str:
        """The tables, as an interactive session shows them."""
        return str(self)

    def _repr_html_(self) -> str:
        """What a notebook shows: the tables with intervals and verdicts, and the learning curves."""
        return str(view("comparison html", self))


def compare_sources(
    sources: Sources,
    *,
    metric: str | None = None,
    target: float | None = None,
    fail_on: Sequence[str] = (),
    defaults: Defaults | None = None,
) -> Comparison:
    """Compare the runs of ``sources`` with its reference, if it has one.

    A completed run without the number to compare is left out and named; with ``fail_on`` it breaks the bound.

    Raises
    ------
    UsageError
        No completed run, no such metric, or nothing in common with the reference.
    """
    sources, left_out = _measured(_aligned(sources), metric)
    apart = _apart(run for runs in sources.runs.values() for run in runs)
    rows = compare(sources.runs, sources.reference, metric=metric, target=target)
    broken = [line for guard in map(Guard.parse, fail_on) for line in guard.broken(rows, sources.reference)]
    if sources.reference:
        rows = _with_a_difference(rows)
    return Comparison(
        tuple(rows),
        broken=(*broken, *(left_out if fail_on else ())),
        defaults=defaults or {},
        metric=metric,
        left_out=(*left_out, *apart),
    )


def _aligned(sources: Sources) -> Sources:
    """The sources, with the settings of all their runs made comparable."""
    everything = [*(run for runs in sources.runs.values() for run in runs), *sources.reference]
    settings = completed_settings(run.setting for run in everything)
    return replace(
        sources,
        runs={name: with_settings(runs, settings) for name, runs in sources.runs.items()},
        reference=with_settings(sources.reference, settings),
    )


def _measured(sources: Sources, metric: str | None) -> tuple[Sources, tuple[str, ...]]:
    """The sources without the completed runs that lack the number to compare, and a line for each of those;
    unchanged if none has it."""

    def lacks(run: RunSummary) -> bool:
        return run.status == "completed" and (metric or run.primary) not in run.measures

    everything = [run for runs in sources.runs.values() for run in runs]
    lacking = {run.id: run for run in everything if lacks(run)}
    if len(lacking) == sum(run.status == "completed" for run in everything):
        return sources, tuple(sources.left_out)

    def kept(runs: Sequence[RunSummary]) -> list[RunSummary]:
        return [run for run in runs if run.id not in lacking]

    lines = (_lacking(list(same), metric) for _, same in groupby(lacking.values(), key=_row_of))
    runs = {name: kept(runs) for name, runs in sources.runs.items()}
    return replace(sources, runs=runs, reference=kept(sources.reference)), (*sources.left_out, *lines)


def _row_of(run: RunSummary) -> tuple[str, str]:
    return run.title, run.method.name


def _lacking(runs: Sequence[RunSummary], metric: str | None) -> str:
    """Name the runs of one row that have no number to compare."""
    first = runs[0]
    seeds = ", ".join(str(run.seed) for run in runs)
    name = metric or first.primary
    file = f" in {first.path}" if len(runs) == 1 and first.path else ""
    why = "it was not measured, or is not a number"
    return f"left out: {first.method.name} seed {seeds} on {first.title} has no {name}{file}: {why}"


def _with_a_difference(rows: Sequence[Compared]) -> list[Compared]:
    """Keep the rows of scenarios on which something is compared with the reference."""
    shared = {row.summary.setting for row in rows if row.difference}
    if not shared:
        raise UsageError("nothing to compare", why="they have no scenario and seed in common")
    return [row for row in rows if row.summary.setting in shared]


def _scenarios(rows: Sequence[Compared]) -> Iterator[tuple[str, list[Compared]]]:
    """Group the comparable rows under their scenario's name, with its fingerprint if another scenario has
    that name, too, and with its setting's key if the scenario was run in another setting."""
    prints: dict[str, set[str]] = defaultdict(set)
    settings: dict[str, set[str]] = defaultdict(set)
    for row in rows:
        prints[row.summary.title].add(row.summary.fingerprint)
        settings[row.summary.fingerprint].add(row.summary.setting)

    def table(row: Compared) -> tuple[str, str, str, str]:
        return row.summary.title, row.summary.metric, row.summary.fingerprint, row.summary.setting

    for (title, _, fingerprint, setting), group in groupby(rows, key=table):
        if len(settings[fingerprint]) > 1:
            title += f" ({setting[:8]})"
        elif len(prints[title]) > 1:
            title += f" ({fingerprint[:8]})"
        yield visible(title), list(group)


def _apart(runs: Iterable[RunSummary]) -> Iterator[str]:
    """A line for each scenario whose runs are of several settings, which are compared apart."""
    by_scenario: dict[str, dict[Setting, RunSummary]] = defaultdict(dict)
    for run in runs:
        if run.status == "completed":
            by_scenario[run.setting.scenario].setdefault(run.setting, run)
    for firsts in by_scenario.values():
        first, *others = firsts
        for other in others:
            yield f"compared apart: runs of {firsts[other].title} differ in their {first.differs(other)}"


def _measure(group: Sequence[Compared]) -> str:
    """Say what a table's rows are ordered by, the target if all have the same, and which methods are scored
    by each client's own model on its own test part."""
    first = group[0].summary
    better = "" if first.better == "neither" else f", {first.better} is better"
    same = first.target is not None and not _targets_differ(group)
    target = f" · target {first.target:.3f}" if same else ""
    own = [row.summary.name for row in group if row.summary.metric in _own_measures(row)]
    noted = f" · own model, own items: {', '.join(dict.fromkeys(own))}" if own else ""
    return visible(f"{first.metric}{better}{target}{noted}")


def _own_measures(row: Compared) -> tuple[str, ...]:
    """The measure that is about own test parts of a personalised method only, if the row's is one."""
    return tuple(run.primary for run in row.runs if run.personalised)


def _targets_differ(group: Sequence[Compared]) -> bool:
    """Whether the rows have several targets, as they do where each source has anchors of its own."""
    return len({row.summary.target for row in group}) > 1


def _labels(group: Sequence[Compared], defaults: Defaults) -> list[str]:
    """Name a table's rows: the method, its options that are not the defaults (all of them if it is not
    installed here), and the source if another has it, too. Equal names get the plugin's name as well, and a
    record's id if that is the same."""

    def label(row: Compared, before: str = "", after: str = "") -> str:
        run = row.runs[0]
        options = unusual(run.method.options, defaults.get(run.contender[:2], {}))
        source = f"({row.summary.source})" if row.summary.source else ""
        return visible(" ".join(filter(None, (before + run.method.name, options, source, after))))

    labels = [label(row) for row in group]
    for more in (False, True):
        counts = Counter(labels)
        labels = [
            label(row, f"{row.summary.plugin}/", row.runs[0].id[:8] if more else "")
            if counts[was] > 1
            else was
            for row, was in zip(group, labels, strict=True)
        ]
    return labels


def _cells_of(group: Sequence[Compared], defaults: Defaults) -> list[dict[str, str]]:
    """A table's cells; with columns of differences if there is one."""
    labels = _labels(group, defaults)
    shown = [{"method": label} | _cells(row.summary) for row, label in zip(group, labels, strict=True)]
    if _targets_differ(group):
        for cells, row in zip(shown, group, strict=True):
            cells["target"] = _number(row.summary.target, 3)
    if against := next((row.difference.against for row in group if row.difference), None):
        for cells, row in zip(shown, group, strict=True):
            cells |= _difference(row, f"vs {visible(against)}")
    return shown


def _difference(row: Compared, heading: str) -> dict[str, str]:
    """The cells that say how a row differs from the reference, under ``heading``."""
    difference = row.difference
    if difference is None:
        return {heading: "", "effect": "", "verdict": ""}
    interval = difference.interval
    known = interval.low is not None and interval.high is not None
    reach = f" [{interval.low:+.4f}, {interval.high:+.4f}]" if known else ""
    return {
        heading: f"{interval.mean:+.4f}{reach}",
        "effect": "" if difference.effect is None else f"{difference.effect:+.1f}",
        "verdict": difference.verdict,
    }


def _cells(row: Summary) -> dict[str, str]:
    """The cells that every row has."""
    count = len(row.seeds)
    some = f" ({row.reached} of {count})" if 0 < row.reached < count else ""
    error = "" if row.se is None else f" ± {row.se:.4f}"
    return {
        "seeds": str(count),
        "mean": _number(row.mean) + error,
        "± items": _number(row.item_se),
        "gap closed": _number(row.gap_closed, 2),
        "worst client": _number(row.worst_client),
        "drop": _number(row.instability),
        "rounds to target": _number(row.rounds_to_target, 1) + some,
        "MB to target": _number(row.uplink_megabytes_to_target, 1),
        "MB up": _number(row.uplink_megabytes, 1),
        "examples": _number(row.client_examples, 0),
        "seconds": _number(row.seconds, 0),
    }


def _number(value: float | None, digits: int = 4) -> str:
    """A number as a cell shows it; empty if there is none."""
    return "" if value is None else f"{value:.{digits}f}"
