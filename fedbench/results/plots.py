"""Pictures: SVG, PNG or PDF files, the same bytes for the same data. Imports matplotlib; import it late."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import matplotlib as mpl
import numpy as np
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from fedbench.data.heterogeneity import Heterogeneity
from fedbench.errors import UsageError
from fedbench.files import atomic_path
from fedbench.results.curves import Curve, curve
from fedbench.results.record import Record

DATELESS: dict[str, dict[str, Any]] = {"svg": {"Date": None}, "png": {}, "pdf": {"CreationDate": None}}
"""The formats, and for each the metadata that keeps the date out of the file."""

COLOURS = mpl.color_sequences["petroff8"]
"""Told apart with any colour vision (Petroff 2021, arXiv 2107.02270)."""


def picture_format(path: Path) -> str:
    """``svg``, ``png`` or ``pdf``, as the name ends."""
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


def client_bars(found: Heterogeneity, title: str) -> Figure:
    """A bar for each client, as high as its training units, stacked by class."""
    clients = range(len(found.units))
    figure = Figure(figsize=(min(5 + 0.4 * len(clients), 12), 4.5), layout="constrained")
    axes = figure.subplots()
    names, histogram = found.commonest()
    if not names:
        names, histogram = [""], found.units[:, None]
    bottom = histogram.cumsum(1) - histogram
    for name, heights, below, colour in zip(names, histogram.T, bottom.T, COLOURS, strict=False):
        axes.bar(clients, heights, bottom=below, label=name, color=colour)
    axes.set_title(title, loc="left")
    axes.set_xlabel("client")
    axes.set_ylabel("training units")
    axes.xaxis.set_major_locator(MaxNLocator(20, steps=[1, 2, 5, 10], integer=True))
    axes.margins(x=0.01)
    axes.spines[["top", "right"]].set_visible(False)
    if found.label:
        figure.legend(
            loc="outside right upper", title=found.label, alignment="left", reverse=True, frameon=False,
            handlelength=1, handleheight=1,
        )  # fmt: skip
    return figure


Panels = Mapping[str, Mapping[str, Sequence[Record]]]
"""By title, then by line: the records (seeds) behind each line."""


def learning_curves(panels: Panels) -> Figure:
    """The primary measure over the rounds: a panel for each scenario, a line for each method.

    A line is the mean over the method's records (seeds), its band reaches from the worst of them to the best.
    """
    figure = _grid(panels)
    for axes, lines, style in _drawn(figure, panels):
        for name, records in lines.items():
            if found := [c for record in records if (c := curve(record)) is not None]:
                _line(axes, name, found, *style[name])
        primaries = {record.primary for records in lines.values() for record in records}
        axes.set_xlabel("round")
        axes.set_ylabel(", ".join(sorted(primaries)))
        axes.xaxis.set_major_locator(MaxNLocator(10, integer=True))
    return _with_legend(figure)


def paths(panels: Panels, across: str, up: str) -> Figure:
    """A measure against another: a panel for each scenario, a line for each method, from the first round that
    has both to a dot at the last. A point is the mean over the method's records (seeds)."""
    figure = _grid(panels)
    for axes, lines, style in _drawn(figure, panels):
        for name, records in lines.items():
            points = _points(records, across, up)
            if len(points):
                colour, dash = style[name]
                axes.plot(*points.T, dash, label=name, color=colour, linewidth=1.5)
                axes.plot(*points[-1], "o", color=colour, markersize=5)
        axes.set_xlabel(across)
        axes.set_ylabel(up)
    return _with_legend(figure)


DASHES = ("-", "--", ":", "-.")


def _grid(panels: Panels) -> Figure:
    """Two panels a row."""
    columns = min(len(panels), 2)
    rows = -(-len(panels) // columns)
    figure = Figure(figsize=(4.5 + 3.5 * columns, 1.5 + 2.8 * rows), layout="constrained")
    for axes in figure.subplots(rows, columns, sharey=True, squeeze=False).flat[len(panels) :]:
        axes.set_visible(False)
    return figure


def _drawn(figure: Figure, panels: Panels) -> Iterator[tuple[Any, Mapping[str, Sequence[Record]], Any]]:
    """Each panel's axes and lines, and the look of every line: the same in all panels."""
    names = list(dict.fromkeys(name for lines in panels.values() for name, found in lines.items() if found))
    style = {name: (COLOURS[i % len(COLOURS)], DASHES[i // len(COLOURS)]) for i, name in enumerate(names)}
    for axes, (title, lines) in zip(figure.axes, panels.items(), strict=False):
        axes.set_title(title, loc="left")
        axes.spines[["top", "right"]].set_visible(False)
        yield axes, lines, style


def _with_legend(figure: Figure) -> Figure:
    """One legend for all panels."""
    drawn = {
        label: line
        for axes in figure.axes
        for line, label in zip(*axes.get_legend_handles_labels(), strict=True)
    }
    figure.legend(drawn.values(), drawn.keys(), loc="outside right upper", frameon=False)
    return figure


def _line(axes: Any, name: str, curves: Sequence[Curve], colour: Any, dash: str) -> None:
    rounds = range(min(len(found.values) for found in curves))
    values = np.stack([found.values[: len(rounds)] for found in curves])
    axes.plot(rounds, values.mean(0), dash, label=name, color=colour, linewidth=1.5)
    axes.fill_between(rounds, values.min(0), values.max(0), color=colour, alpha=0.15, linewidth=0)


def _points(records: Sequence[Record], *names: str) -> np.ndarray:
    """[rounds, measures]: means over the records, of the rounds that have every measure."""
    found = [
        [
            [entry.metrics[name].value for name in names]
            for entry in record.rounds
            if entry.metrics.keys() >= {*names}
        ]
        for record in records
    ]
    rounds = min(map(len, found), default=0)
    return np.array([points[:rounds] for points in found]).mean(0) if rounds else np.empty((0, len(names)))
