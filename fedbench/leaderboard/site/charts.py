"""The pictures on a board's pages, from its standings; drawn by matplotlib, coloured by the style sheet."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from statistics import fmean
from typing import Any

import numpy as np
from markupsafe import Markup
from matplotlib.colors import to_hex
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from fedbench.data.heterogeneity import Heterogeneity
from fedbench.leaderboard.site.svg import SERIES, inline
from fedbench.leaderboard.standings import THRESHOLDS, Contender, ScenarioStanding, Score, Standings
from fedbench.results.curves import Curve
from fedbench.results.markdown import visible
from fedbench.results.pictures import COLOURS, client_bars, line
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

MOST_DRAWN = 24
"""Most entries in a picture; more lines would hide each other."""

HUGE = 1e9
"""Values beyond this are not drawn: no measure of ours comes near, and the others would shrink to a line."""


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
ANCHORS = (Look(INK, (1, 2.5), 1.4), Look(INK, (7, 2.5), 1.4), Look(INK, (7, 2, 1, 2), 1.4))
"""Floor, ceiling, and those beside them."""


@dataclass(frozen=True)
class Key:
    """A line of a picture's legend."""

    contender: Contender
    look: Look


@dataclass(frozen=True)
class Chart:
    """A picture and its caption. ``others`` is the number of entries drawn in grey, ``undrawn`` of those left
    out."""

    svg: Markup
    caption: str
    keys: tuple[Key, ...] = ()
    others: int = 0
    undrawn: int = 0


@dataclass(frozen=True)
class Charts:
    """A board's pictures. Its best have a colour each, the anchors a dash, the others are grey."""

    standings: Standings

    @cached_property
    def looks(self) -> Mapping[str, Look]:
        """By contender, of those that have one."""
        anchors = self.standings.contest.anchors
        frame = [anchors.floor, anchors.ceiling, *anchors.beside]
        everyone = [row.contender for row in self.standings.rows]
        ranked = [contender for contender in everyone if not contender.anchor]
        return {
            **{c.key: Look(to_hex(colour)) for c, colour in zip(ranked, COLOURS, strict=False)},
            **{c.key: ANCHORS[min(frame.index(c.method), 2)] for c in everyone if c.anchor},
        }

    def curves(self, standing: ScenarioStanding) -> Chart | None:
        """The measure over the rounds: the mean over seeds, and a band from the worst seed to the best."""
        metric = standing.scenario.metric
        lines = {
            score.contender.key: (score.contender, known)
            for score in standing.scores
            if (known := [run.curves[metric] for run in score.counted if _drawable(run.curves.get(metric))])
        }
        if not lines:
            return None
        figure, axes = _axes("round", metric)
        drawn = self._chosen([contender for contender, _ in lines.values()])
        for contender in drawn:
            self._line(axes, contender, lines[contender.key][1])
        axes.xaxis.set_major_locator(MaxNLocator(10, integer=True))
        if standing.target is not None and abs(standing.target) < HUGE:
            axes.axhline(standing.target, color=QUIET, linewidth=0.8, dashes=(2, 3), zorder=1)
            axes.annotate(
                "target",
                (1, standing.target),
                (-2, 3),
                xycoords=axes.get_yaxis_transform(),
                textcoords="offset points",
                ha="right",
                fontsize=SMALL - 1,
                color=QUIET,
            )
        text = f"{metric} after each round, for {len(drawn)} entries; the table has the final values."
        return self._chart(
            figure=figure,
            name=f"curves-{standing.scenario.name}",
            title=f"Learning curves on {standing.scenario.title}",
            text=text,
            caption="Mean over seeds; a coloured line's band reaches from the worst seed to the best.",
            drawn=drawn,
            there=len(lines),
        )

    def costs(self, standing: ScenarioStanding) -> Chart | None:
        """The uplink until the target was reached, and the share of the gap closed at the end."""
        points = [
            (score.contender, _sent(score), score.gap) for score in standing.scores if score.gap is not None
        ]
        return self._scatter(
            points=points,
            name=f"costs-{standing.scenario.name}",
            title=f"Cost and quality on {standing.scenario.title}",
            caption="Uplink until the target, halfway between the anchors, was first reached."
            " Bars: 95 % intervals.",
        )

    @cached_property
    def overall_costs(self) -> Chart | None:
        """The same over all open scenarios, for entries that reached every target."""
        titles = [s.scenario.title for s in self.standings.scenarios if not s.problem]
        points = []
        for row in self.standings.rows:
            sent = [_sent(row.scores[title]) if title in row.scores else None for title in titles]
            known = [megabytes for megabytes in sent if megabytes is not None]
            if row.gap is not None:
                points.append((row.contender, fmean(known) if len(known) == len(sent) else None, row.gap))
        return self._scatter(
            points=points,
            name="costs",
            title="Cost and quality",
            caption="Uplink until the target was reached, mean over all open scenarios."
            " Bars: 95 % intervals.",
        )

    @cached_property
    def profile(self) -> Chart | None:
        """For every share of the gap, in how many runs an entry closed at least that much."""
        rows = [row for row in self.standings.rows if row.gap is not None]
        if len(self.standings.open) < 2 or not rows:
            return None
        figure, axes = _axes("share of the gap closed, at least", "share of runs")
        drawn = self._chosen([row.contender for row in rows])
        for row in rows:
            if row.contender in drawn:
                look = self._look(row.contender)
                (steps,) = axes.step(
                    THRESHOLDS,
                    row.profile,
                    where="post",
                    color=look.colour,
                    linestyle=look.linestyle,
                    linewidth=look.width,
                    zorder=look.above,
                )
                steps.set_gid(SERIES + row.contender.key)
        axes.set(xlim=(0, 1.01), ylim=(-0.02, 1.02))
        text = f"Performance profiles of {len(drawn)} entries; further up and to the right is better."
        return self._chart(
            figure=figure,
            name="profile",
            title="Performance profile",
            text=text,
            caption="In how many of the runs (scenario × seed) an entry closed at least so much of the gap.",
            drawn=drawn,
            there=len(rows),
        )

    def spread(self, standing: ScenarioStanding) -> Chart | None:
        """Each client's measure at the end: a dot a client, mean over seeds; the bar is the clients' mean."""
        clients = {
            score.contender.key: (score.contender, values)
            for score in standing.scores
            if (values := _per_client(score)) and all(abs(value) < HUGE for value in values)
        }
        drawn = self._chosen([contender for contender, _ in clients.values()])
        if not drawn:
            return None
        figure, axes = _axes(standing.scenario.metric, "", height=64 + 22 * len(drawn), left=176)
        for place, contender in enumerate(drawn):
            values, look = clients[contender.key][1], self._look(contender)
            dots = axes.scatter(
                values, [place] * len(values), s=26, color=look.colour, alpha=0.55, linewidth=0, zorder=3
            )
            dots.set_gid(SERIES + contender.key)
            axes.plot([fmean(values)] * 2, [place - 0.32, place + 0.32], color=INK, linewidth=1.4, zorder=4)
            axes.text(
                -0.02,
                place,
                _shortened(contender.label),
                transform=axes.get_yaxis_transform(),
                ha="right",
                va="center",
                fontsize=SMALL,
                color=INK,
                parse_math=False,
            )
        axes.set(ylim=(len(drawn) - 0.4, -0.6), yticks=[])
        axes.grid(axis="x", color=GRID, linewidth=0.8)
        text = f"{standing.scenario.metric} of each client's own held-out items, for {len(drawn)} entries."
        return self._chart(
            figure=figure,
            name=f"spread-{standing.scenario.name}",
            title=f"Clients on {standing.scenario.title}",
            text=text,
            caption="A dot is a client on its own held-out items, mean over seeds;"
            " the bar is the clients' mean.",
            drawn=drawn,
            there=len(clients),
            legend=False,
        )

    def _scatter(
        self, points: Sequence[tuple[Contender, float | None, Interval]], name: str, title: str, caption: str
    ) -> Chart | None:
        """``points`` are contender, megabytes (None: the target was not reached) and gap closed."""
        sound = [point for point in points if abs(point[2].mean) < HUGE and (point[1] or 0) < HUGE]
        reached = [sent for _, sent, _ in sound if sent is not None]
        if not reached:
            return None
        figure, axes = _axes("uplink to the target, MB", "share of the gap closed")
        end = max(*reached, 1e-3)
        drawn = self._chosen([contender for contender, _, _ in sound])
        strip = iter(np.linspace(1.15 * end, 1.29 * end, max(2, len(sound) - len(reached))))
        for contender, sent, gap in sound:
            if contender not in drawn:
                continue
            look = self._look(contender)
            at = next(strip) if sent is None else sent
            reach = [[gap.mean - (gap.low or gap.mean)], [(gap.high or gap.mean) - gap.mean]]
            _, _, (bar,) = axes.errorbar(
                [at], [gap.mean], yerr=np.abs(reach), color=look.colour, elinewidth=1, zorder=look.above
            )
            dot = axes.scatter(
                [at],
                [gap.mean],
                s=42 if look is not REST else 22,
                zorder=look.above + 1,
                linewidth=1.4,
                edgecolor=look.colour,
                facecolor=look.colour if not look.dash else "none",
            )
            for artist in (bar, dot):
                artist.set_gid(SERIES + contender.key)
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
        text = f"{len(reached)} of {len(sound)} entries reached the target; left and up is better."
        return self._chart(
            figure=figure, name=name, title=title, text=text, caption=caption, drawn=drawn, there=len(sound)
        )

    def _line(self, axes: Any, contender: Contender, curves: Sequence[Curve]) -> None:
        look = self._look(contender)
        mean, band = line(axes, curves, look.colour, look.linestyle)
        mean.set(linewidth=look.width, zorder=look.above, gid=SERIES + contender.key)
        band.set(zorder=1, gid=SERIES + contender.key)
        if look is REST or look.dash:
            band.remove()

    def _look(self, contender: Contender) -> Look:
        return self.looks.get(contender.key, REST)

    def _chosen(self, contenders: Sequence[Contender]) -> list[Contender]:
        """The contenders to draw: those with a look, then the others in their order."""
        first = sorted(contenders, key=lambda contender: contender.key not in self.looks)[:MOST_DRAWN]
        return [contender for contender in contenders if contender in first]

    def _chart(
        self,
        figure: Figure,
        name: str,
        title: str,
        text: str,
        caption: str,
        drawn: Sequence[Contender],
        there: int,
        legend: bool = True,
    ) -> Chart:
        tips = {contender.key: contender.label for contender in drawn}
        keys = [
            Key(contender, self.looks[contender.key]) for contender in drawn if contender.key in self.looks
        ]
        return Chart(
            inline(figure=figure, name=name, title=title, description=text, colours=NAMES, tips=tips),
            caption,
            tuple(keys) if legend else (),
            others=len(drawn) - len(keys) if legend else 0,
            undrawn=there - len(drawn),
        )


def bars(held: Heterogeneity, title: str) -> Chart:
    """What each client holds, as ``fedbench show scenario`` draws it."""
    count = len(held.units)
    text = f"{count} clients' training units" + (f", by {held.label}" if held.label else "")
    svg = inline(
        figure=client_bars(held, title),
        name="clients",
        title=f"Clients of {title}",
        description=text,
        colours=NAMES,
        tips={},
    )
    return Chart(svg, f"{text[0].upper()}{text[1:]}.")


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


def _drawable(curve: Curve | None) -> bool:
    return curve is not None and bool((np.abs(curve.values) < HUGE).all())


def _sent(score: Score) -> float | None:
    """Megabytes until the target was reached, if every seed reached it."""
    summary = score.summary
    everywhere = summary.curves and summary.reached == summary.curves == len(summary.seeds)
    return summary.uplink_megabytes_to_target if everywhere else None


def _per_client(score: Score) -> list[float]:
    """The primary measure of each client that all runs have, mean over the runs."""
    runs = score.counted
    if not runs or any(run.primary != score.scenario.metric for run in runs):
        return []
    shared = set.intersection(*(set(run.clients) for run in runs))
    return [fmean(run.clients[client] for run in runs) for client in sorted(shared)]
