"""Pictures: SVG, PNG or PDF files, the same bytes for the same data. Imports matplotlib; import it late."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import matplotlib as mpl
import numpy as np
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from fedbench.data.heterogeneity import Heterogeneity
from fedbench.errors import UsageError
from fedbench.files import atomic_path
from fedbench.results.curves import Curve
from fedbench.results.markdown import visible
from fedbench.results.records import Record
from fedbench.results.run_summary import RunSummary

DATELESS: dict[str, dict[str, Any]] = {"svg": {"Date": None}, "png": {}, "pdf": {"CreationDate": None}}
"""The metadata that keeps the date out of a file, by format."""

COLOURS = mpl.color_sequences["petroff8"]
"""Distinguishable with any colour vision (Petroff 2021, arXiv 2107.02270)."""


def picture_format(path: Path) -> str:
    """Infer ``svg``, ``png`` or ``pdf`` from the ending of the name; :class:`UsageError` for any other."""
    ending = path.suffix.removeprefix(".").lower()
    if ending not in DATELESS:
        raise UsageError(f"can't tell the format of picture {path}", fix="name it .svg, .png or .pdf")
    return ending


def save(figure: Figure, path: Path) -> None:
    """Write the picture in the format that its name ends with."""
    format = picture_format(path)
    try:
        with mpl.rc_context({"svg.hashsalt": "fedbench"}), atomic_path(path) as temporary:
            figure.savefig(temporary, format=format, dpi=150, metadata=DATELESS[format])
    except OSError as error:
        raise UsageError("can't write the picture", where=path, why=error.strerror) from error


def client_bars(held: Heterogeneity, title: str) -> Figure:
    """Draw a bar for each client, as high as its training units, stacked by class."""
    figure = Figure(figsize=(min(5 + 0.4 * len(held.units), 12), 4.5), layout="constrained")
    axes = figure.subplots()
    draw_clients(axes, held)
    axes.set_title(literal(title), loc="left")
    if held.label:
        figure.legend(loc="outside right upper", **legend_of(held.label))
    return figure


def draw_clients(axes: Any, held: Heterogeneity) -> None:
    """Draw the bars of :func:`client_bars`, each labelled with its class."""
    clients = range(len(held.units))
    names, histogram = held.commonest()
    if not names:
        names, histogram = [""], held.units[:, None]
    bottom = histogram.cumsum(1) - histogram
    for name, heights, below, colour in zip(names, histogram.T, bottom.T, COLOURS, strict=False):
        axes.bar(clients, heights, bottom=below, label=literal(name), color=colour)
    axes.set_xlabel("client")
    axes.set_ylabel("training units")
    axes.xaxis.set_major_locator(MaxNLocator(20, steps=[1, 2, 5, 10], integer=True))
    axes.margins(x=0.01)
    axes.spines[["top", "right"]].set_visible(False)


def legend_of(label: str) -> dict[str, Any]:
    """The settings of a legend of the classes of ``label``."""
    return {
        "title": literal(label),
        "alignment": "left",
        "reverse": True,
        "frameon": False,
        "handlelength": 1,
        "handleheight": 1,
    }


Panels = Mapping[str, Mapping[str, Sequence[RunSummary]]]
"""Runs by scenario and by method, each under the name that the picture gives it."""


def learning_curves(panels: Panels, metric: str | None = None) -> Figure:
    """Draw a measure (the primary one by default) over the rounds: a plot per scenario, a line per method.

    A line is the mean over the method's runs (seeds), its band reaches from the worst of them to the best.
    """
    panels = _literal(panels)
    style = _styles(panels)
    columns = min(len(panels), 2)
    rows = -(-len(panels) // columns)
    figure = Figure(figsize=(4.5 + 3.5 * columns, 1.5 + 2.8 * rows), layout="constrained")
    grid = figure.subplots(rows, columns, sharey=True, squeeze=False)
    for axes, (title, lines) in zip(grid.flat, panels.items(), strict=False):
        _curves(axes, lines, metric, style)
        axes.set_title(title, loc="left")
    for axes in grid.flat[len(panels) :]:
        axes.set_visible(False)
    _legend(figure, grid.flat)
    return figure


def comparison(panels: Panels, metric: str | None = None) -> Figure:
    """Draw a row for each scenario: learning curves, cost against result, and each client's result.

    Cost is what the clients sent; error bars reach from the worst seed to the best.
    """
    panels = _literal(panels)
    style = _styles(panels)
    figure = Figure(figsize=(15, 1 + 3.4 * len(panels)), layout="constrained")
    grid = figure.subplots(len(panels), 3, squeeze=False)
    for (curves, costs, clients), (title, lines) in zip(grid, panels.items(), strict=True):
        _curves(curves, lines, metric, style)
        _costs(costs, lines, metric, style)
        _clients(clients, lines, style)
        curves.set_title(title, loc="left")
    _legend(figure, grid.flat)
    return figure


def _literal(panels: Panels) -> Panels:
    """Escape names: text between two dollars is mathematics to matplotlib."""
    return {
        literal(title): {literal(name): runs for name, runs in lines.items()}
        for title, lines in panels.items()
    }


LONGEST = 60
"""Characters of a name in a picture; a longer one would leave no room for the curves."""


def literal(text: str) -> str:
    """Return a name as a picture can hold it: cut to size, and without matplotlib's mathematics."""
    short = text if len(text) <= LONGEST else f"{text[: LONGEST - 1]}…"
    return visible(short).replace("$", r"\$")


DASHES = ("-", "--", ":", "-.")
MARKS = ("o", "s", "^", "D")
Style = Mapping[str, tuple[Any, int]]


def _styles(panels: Mapping[str, Mapping[str, Sequence[Any]]]) -> Style:
    """Give each name a colour and, where these are used up, the number of another dash or mark."""
    names = list(dict.fromkeys(name for lines in panels.values() for name, runs in lines.items() if runs))
    return {
        name: (COLOURS[i % len(COLOURS)], i // len(COLOURS) % len(DASHES)) for i, name in enumerate(names)
    }


def _legend(figure: Figure, grid: Iterable[Any]) -> None:
    drawn = {
        label: line for axes in grid for line, label in zip(*axes.get_legend_handles_labels(), strict=True)
    }
    figure.legend(drawn.values(), drawn.keys(), loc="outside right upper", frameon=False)


def _curves(axes: Any, lines: Mapping[str, Sequence[RunSummary]], metric: str | None, style: Style) -> None:
    measures = {metric or run.primary for runs in lines.values() for run in runs}
    for name, runs in lines.items():
        if drawn := [run.curves[m] for run in runs if (m := metric or run.primary) in run.curves]:
            colour, number = style[name]
            line(axes, drawn, colour, DASHES[number])[0].set_label(name)
    axes.set_xlabel("round")
    axes.set_ylabel(literal(", ".join(sorted(measures))))
    axes.xaxis.set_major_locator(MaxNLocator(10, integer=True))
    axes.spines[["top", "right"]].set_visible(False)


def line(axes: Any, curves: Sequence[Curve], colour: Any, dash: Any) -> tuple[Any, Any]:
    """Draw the mean over seeds and the band from the worst of them to the best."""
    rounds = range(min(len(each.values) for each in curves))
    values = np.stack([each.values[: len(rounds)] for each in curves])
    (mean,) = axes.plot(rounds, values.mean(0), linestyle=dash, color=colour, linewidth=1.5)
    band = axes.fill_between(rounds, values.min(0), values.max(0), color=colour, alpha=0.15, linewidth=0)
    return mean, band


def _costs(axes: Any, lines: Mapping[str, Sequence[RunSummary]], metric: str | None, style: Style) -> None:
    for name, runs in lines.items():
        values = np.array([run.measure(metric or run.primary).value for run in runs])
        sent = np.mean([run.costs.uplink_bytes for run in runs]) / 1e6
        colour, number = style[name]
        reach = [[values.mean() - values.min()], [values.max() - values.mean()]]
        axes.errorbar([sent], [values.mean()], reach, fmt=MARKS[number], color=colour, capsize=2)
    axes.set_xlabel("MB that the clients sent")
    most = max((run.costs.uplink_bytes for runs in lines.values() for run in runs), default=0) / 1e6
    axes.set_xlim(-0.05 * (most or 1), 1.1 * (most or 1))
    axes.set_ylabel("at the end")
    axes.spines[["top", "right"]].set_visible(False)


def _clients(axes: Any, lines: Mapping[str, Sequence[RunSummary]], style: Style) -> None:
    """Draw a column of dots for each method, a dot for each client of each seed; a bar at the mean."""
    for place, (name, runs) in enumerate(lines.items()):
        values = [value for run in runs for value in run.clients.values()]
        colour, number = style[name]
        axes.plot([place] * len(values), values, MARKS[number], color=colour, alpha=0.5, markersize=4)
        if values:
            axes.hlines(np.mean(values), place - 0.3, place + 0.3, color=colour, linewidth=1.5)
    axes.set_xticks(range(len(lines)), lines, rotation=30, ha="right")
    axes.set_xlim(-0.6, len(lines) - 0.4)
    axes.set_ylabel("clients' primary measure")
    axes.spines[["top", "right"]].set_visible(False)


def paths(panels: Mapping[str, Mapping[str, Sequence[Record]]], across: str, up: str) -> Figure:
    """Draw a measure against another: a plot for each scenario, a line for each method.

    A line goes from the first round that has both measures to a dot at the last. A point is the mean over the
    method's records (seeds).
    """
    style = _styles(panels)
    figure = Figure(figsize=(4.5 + 3.5 * len(panels), 4.3), layout="constrained")
    grid = figure.subplots(1, len(panels), sharey=True, squeeze=False)
    for axes, (title, lines) in zip(grid.flat, panels.items(), strict=True):
        for name, records in lines.items():
            if len(points := _points(records, across, up)):
                colour, number = style[name]
                axes.plot(*points.T, DASHES[number], label=name, color=colour, linewidth=1.5)
                axes.plot(*points[-1], "o", color=colour, markersize=5)
        axes.set_title(title, loc="left")
        axes.set_xlabel(across)
        axes.set_ylabel(up)
        axes.spines[["top", "right"]].set_visible(False)
    _legend(figure, grid.flat)
    return figure


def _points(records: Sequence[Record], *names: str) -> np.ndarray:
    """Average the rounds that have every measure over the records: [rounds, measures]."""
    by_record = [
        [
            [entry.metrics[name].value for name in names]
            for entry in record.rounds
            if entry.metrics.keys() >= {*names}
        ]
        for record in records
    ]
    rounds = min(map(len, by_record), default=0)
    return (
        np.array([points[:rounds] for points in by_record]).mean(0) if rounds else np.empty((0, len(names)))
    )
