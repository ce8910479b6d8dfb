"""The figures of a board's pages, each drawn from nothing but its arguments, by which it can be kept."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from statistics import fmean
from typing import Any

import numpy as np
from matplotlib.colors import to_hex
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from fedbench.leaderboard.site.svg import SERIES
from fedbench.leaderboard.standings import THRESHOLDS
from fedbench.results.curves import Curve
from fedbench.results.markdown import visible
from fedbench.results.pictures import COLOURS, line
from fedbench.results.statistics import Interval
from fedbench.verification.safety import cut

INK, QUIET, GRID = "#000000", "#777777", "#dddddd"
NAMES = {
    **{to_hex(colour): f"var(--series-{i})" for i, colour in enumerate(COLOURS, start=1)},
    INK: "currentColor",
    QUIET: "var(--quiet)",
    GRID: "var(--grid)",
}
"""What the style sheet calls the colours."""

WIDTH, HEIGHT, SMALL = 560, 340, 12.0
"""A picture's size and its letters', in CSS pixels at full size; matplotlib's points are taken for those."""


@dataclass(frozen=True)
class Look:
    """How a contender is drawn: colour (``#rrggbb``), dashes, line width and drawing order, the same in every
    picture of a board."""

    colour: str
    dash: tuple[float, ...] = ()
    width: float = 1.8
    above: int = 3

    @property
    def ink(self) -> str:
        """The style sheet's name of the colour."""
        return NAMES[self.colour]

    @property
    def linestyle(self) -> Any:
        """The dashes as matplotlib takes them."""
        return (0, self.dash) if self.dash else "-"


REST = Look(QUIET, width=0.9, above=2)


@dataclass(frozen=True)
class Line:
    """An entry's learning curves, one a seed. ``key`` names the series, here and below."""

    key: str
    look: Look
    curves: tuple[Curve, ...]


@dataclass(frozen=True)
class Point:
    """An entry's megabytes until the target (None: it was not reached) and share of the gap closed."""

    key: str
    look: Look
    sent: float | None
    gap: Interval


@dataclass(frozen=True)
class Steps:
    """An entry's shares of runs that closed at least each of the thresholds."""

    key: str
    look: Look
    shares: tuple[float, ...]


@dataclass(frozen=True)
class Dots:
    """An entry's measure of each client."""

    key: str
    look: Look
    label: str
    values: tuple[float, ...]


def curves(metric: str, lines: Sequence[Line], target: float | None) -> Figure:
    """Draw means over seeds and bands from the worst seed to the best, over the rounds."""
    figure, axes = _axes("round", metric)
    for each in lines:
        mean, band = line(axes, each.curves, each.look.colour, each.look.linestyle)
        mean.set(linewidth=each.look.width, zorder=each.look.above, gid=SERIES + each.key)
        band.set(zorder=1, gid=SERIES + each.key)
        if each.look == REST or each.look.dash:
            band.remove()
    axes.xaxis.set_major_locator(MaxNLocator(10, integer=True))
    if target is not None:
        axes.axhline(target, color=QUIET, linewidth=0.8, dashes=(2, 3), zorder=1)
        axes.annotate(
            "target",
            (1, target),
            (-2, 3),
            xycoords=axes.get_yaxis_transform(),
            textcoords="offset points",
            ha="right",
            fontsize=SMALL - 1,
            color=QUIET,
        )
    return figure


def scatter(points: Sequence[Point], end: float, unreached: int) -> Figure:
    """Draw shares of the gap over megabytes up to ``end``; beyond it a strip for ``unreached`` targets."""
    figure, axes = _axes("uplink to the target, MB", "share of the gap closed")
    strip = iter(np.linspace(1.15 * end, 1.29 * end, max(2, unreached)))
    for point in points:
        look, gap = point.look, point.gap
        at = next(strip) if point.sent is None else point.sent
        reach = [[gap.mean - (gap.low or gap.mean)], [(gap.high or gap.mean) - gap.mean]]
        _, _, (bar,) = axes.errorbar(
            [at], [gap.mean], yerr=np.abs(reach), color=look.colour, elinewidth=1, zorder=look.above
        )
        dot = axes.scatter(
            [at],
            [gap.mean],
            s=42 if look != REST else 22,
            zorder=look.above + 1,
            linewidth=1.4,
            edgecolor=look.colour,
            facecolor=look.colour if not look.dash else "none",
        )
        for artist in (bar, dot):
            artist.set_gid(SERIES + point.key)
    axes.axvline(1.11 * end, color=GRID, linewidth=0.8)
    axes.annotate(
        "not reached",
        (1.22 * end, 1.0),
        (0, 4),
        xycoords=axes.get_xaxis_transform(),
        textcoords="offset points",
        ha="center",
        fontsize=SMALL - 1,
        color=QUIET,
    )
    axes.set_xlim(-0.05 * end, 1.33 * end)
    axes.set_xticks([tick for tick in axes.get_xticks() if 0 <= tick <= end])
    return figure


def profile(lines: Sequence[Steps]) -> Figure:
    """Draw performance profiles."""
    figure, axes = _axes("share of the gap closed, at least", "share of runs")
    for each in lines:
        (steps,) = axes.step(
            THRESHOLDS,
            each.shares,
            where="post",
            color=each.look.colour,
            linestyle=each.look.linestyle,
            linewidth=each.look.width,
            zorder=each.look.above,
        )
        steps.set_gid(SERIES + each.key)
    axes.set(xlim=(0, 1.01), ylim=(-0.02, 1.02))
    return figure


def spread(metric: str, rows: Sequence[Dots]) -> Figure:
    """Draw a row of dots for each entry, a dot a client; the bar is their mean."""
    figure, axes = _axes(metric, "", height=64 + 22 * len(rows), left=176)
    for place, row in enumerate(rows):
        dots = axes.scatter(
            row.values,
            [place] * len(row.values),
            s=26,
            color=row.look.colour,
            alpha=0.55,
            linewidth=0,
            zorder=3,
        )
        dots.set_gid(SERIES + row.key)
        axes.plot([fmean(row.values)] * 2, [place - 0.32, place + 0.32], color=INK, linewidth=1.4, zorder=4)
        axes.text(
            -0.02,
            place,
            _shortened(row.label),
            transform=axes.get_yaxis_transform(),
            ha="right",
            va="center",
            fontsize=SMALL,
            color=INK,
            parse_math=False,
        )
    axes.set(ylim=(len(rows) - 0.4, -0.6), yticks=[])
    axes.grid(axis="x", color=GRID, linewidth=0.8)
    return figure


def _axes(below: str, above: str, *, height: int = HEIGHT, left: int = 52) -> tuple[Figure, Any]:
    """A figure and axes without a box, with horizontal lines; ``above`` and ``below`` name the values and the
    horizontal axis."""
    figure = Figure(figsize=(WIDTH / 72, height / 72))
    top, bottom, right = 26, 40, 12
    axes = figure.add_axes(
        (left / WIDTH, bottom / height, 1 - (left + right) / WIDTH, 1 - (top + bottom) / height)
    )
    axes.spines[["top", "right", "left"]].set_visible(False)
    axes.spines["bottom"].set(color=QUIET, linewidth=0.8)
    axes.tick_params(length=0, labelsize=SMALL, labelcolor=QUIET, pad=6)
    axes.grid(axis="y", color=GRID, linewidth=0.8)
    axes.set_axisbelow(True)
    place: dict[str, Any] = {"fontsize": SMALL, "color": QUIET, "parse_math": False}
    figure.text(1 - right / WIDTH, 6 / height, _shortened(below, 60), ha="right", va="bottom", **place)
    figure.text(2 / WIDTH, 1 - 4 / height, _shortened(above, 60), ha="left", va="top", **place)
    return figure, axes


def _shortened(text: str, most: int = 24) -> str:
    """``text`` cut to ``most`` characters, all of which XML may hold."""
    return cut(visible(text), most)
