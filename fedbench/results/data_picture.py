"""A data set in one picture: its clients, suites, sizes of images, and what is broken. Imports matplotlib."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from matplotlib.figure import Figure
from matplotlib.ticker import LogLocator, MaxNLocator, NullFormatter, ScalarFormatter

from fedbench.data.heterogeneity import Heterogeneity
from fedbench.results.pictures import COLOURS, draw_clients, legend_of, literal

MOST_BARS = 16
"""Suites that have a bar each; the largest ones."""


def data_picture(
    title: str,
    *,
    clients: Heterogeneity | None,
    suites: Mapping[str, int],
    sizes: np.ndarray,
    left_out: Mapping[str, int],
    broken: Mapping[str, int],
) -> Figure:
    """Draw four panels: clients (None where the data can't be dealt), items of each suite, ``sizes`` [n, 2]
    of the images, and the numbers of rows left out and of faults by kind."""
    figure = Figure(figsize=(12, 8), layout="constrained")
    (held, asked), (shown, faults) = figure.subplots(2, 2)
    figure.suptitle(literal(title), x=0.01, ha="left")
    if clients is None:
        _empty(held, "the data can't be dealt to clients")
    else:
        draw_clients(held, clients)
        if clients.label:
            held.legend(
                loc="center left", bbox_to_anchor=(1, 0.5), fontsize="small", **legend_of(clients.label)
            )
    held.set_title("what the clients hold", loc="left")
    largest = dict(sorted(suites.items(), key=lambda suite: -suite[1])[:MOST_BARS])
    _bars(asked, {key: (count, COLOURS[0]) for key, count in largest.items()}, "no suites")
    asked.set_title("items of each suite", loc="left")
    _sizes(shown, sizes)
    out = {f"{kind} (left out)": (count, COLOURS[5]) for kind, count in left_out.items()}
    bad = {kind: (count, COLOURS[2]) for kind, count in broken.items()}
    _bars(faults, out | bad, "nothing is broken or left out")
    faults.set_title("broken", loc="left")
    return figure


def _bars(axes: Any, bars: Mapping[str, tuple[int, Any]], nothing: str) -> None:
    if not bars:
        _empty(axes, nothing)
        return
    names = [literal(name) for name in bars]
    counts, colours = zip(*bars.values(), strict=True)
    axes.bar_label(
        axes.barh(names, counts, color=colours), labels=[f"{count:,}" for count in counts], padding=3
    )
    axes.invert_yaxis()
    axes.margins(x=0.12)
    axes.xaxis.set_major_locator(MaxNLocator(5, integer=True))
    axes.spines[["top", "right"]].set_visible(False)


def _sizes(axes: Any, sizes: np.ndarray) -> None:
    """Draw a dot for each size, its area by how many images have it."""
    axes.set_title("sizes of the images", loc="left")
    if not len(sizes):
        _empty(axes, "no image can be shown")
        return
    each, counts = np.unique(sizes, axis=0, return_counts=True)
    axes.scatter(*each.T, s=20 + 300 * counts / counts.max(), color=COLOURS[0], alpha=0.4, linewidths=0)
    for side, set_scale in ((axes.xaxis, axes.set_xscale), (axes.yaxis, axes.set_yscale)):
        set_scale("log")
        side.set_major_locator(LogLocator(subs=(1, 2, 5)))
        side.set_major_formatter(ScalarFormatter())
        side.set_minor_formatter(NullFormatter())
    axes.set_xlabel("width in pixels")
    axes.set_ylabel("height in pixels")
    axes.spines[["top", "right"]].set_visible(False)


def _empty(axes: Any, text: str) -> None:
    axes.set_axis_off()
    axes.text(0, 0.5, text, transform=axes.transAxes)
