"""The pictures on a board's pages, from its standings; drawn by matplotlib, coloured by the style sheet."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from statistics import fmean
from typing import Any

import numpy as np
from markupsafe import Markup
from matplotlib import style
from matplotlib.colors import to_hex
from matplotlib.figure import Figure

from fedbench.data.heterogeneity import Heterogeneity
from fedbench.leaderboard.site import figures
from fedbench.leaderboard.site.figures import INK, NAMES, REST, Look
from fedbench.leaderboard.site.kept import KeptParts
from fedbench.leaderboard.site.svg import inline
from fedbench.leaderboard.standings import Contender, ScenarioStanding, Score, Standings
from fedbench.results.curves import Curve
from fedbench.results.pictures import COLOURS, client_bars
from fedbench.results.statistics import Interval

MOST_DRAWN = 24
"""Most entries in a picture; more lines would hide each other."""

HUGE = 1e9
"""Values beyond this are not drawn: no measure of ours comes near, and the others would shrink to a line."""

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
    """A board's pictures. Its best have a colour each, the anchors a dash, the others are grey; ``kept`` are
    pictures of earlier builds."""

    standings: Standings
    kept: KeptParts

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
        drawn = self._chosen([contender for contender, _ in lines.values()])
        target = standing.target
        shown = [figures.Line(c.key, self._look(c), tuple(lines[c.key][1])) for c in drawn]
        text = f"{metric} after each round, for {len(drawn)} entries; the table has the final values."
        return self._chart(
            draw=figures.curves,
            of={
                "metric": metric,
                "lines": shown,
                "target": None if target is None or abs(target) >= HUGE else target,
            },
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
        drawn = self._chosen([row.contender for row in rows])
        lines = [
            figures.Steps(row.contender.key, self._look(row.contender), tuple(row.profile))
            for row in rows
            if row.contender in drawn
        ]
        text = f"Performance profiles of {len(drawn)} entries; further up and to the right is better."
        return self._chart(
            draw=figures.profile,
            of={"lines": lines},
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
        rows = [figures.Dots(c.key, self._look(c), c.label, tuple(clients[c.key][1])) for c in drawn]
        text = f"{standing.scenario.metric} of each client's own held-out items, for {len(drawn)} entries."
        return self._chart(
            draw=figures.spread,
            of={"metric": standing.scenario.metric, "rows": rows},
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
        drawn = self._chosen([contender for contender, _, _ in sound])
        shown = [
            figures.Point(contender.key, self._look(contender), sent, gap)
            for contender, sent, gap in sound
            if contender in drawn
        ]
        text = f"{len(reached)} of {len(sound)} entries reached the target; left and up is better."
        return self._chart(
            draw=figures.scatter,
            of={"points": shown, "end": max(*reached, 1e-3), "unreached": len(sound) - len(reached)},
            name=name,
            title=title,
            text=text,
            caption=caption,
            drawn=drawn,
            there=len(sound),
        )

    def _look(self, contender: Contender) -> Look:
        return self.looks.get(contender.key, REST)

    def _chosen(self, contenders: Sequence[Contender]) -> list[Contender]:
        """The contenders to draw: those with a look, then the others in their order."""
        first = sorted(contenders, key=lambda contender: contender.key not in self.looks)[:MOST_DRAWN]
        return [contender for contender in contenders if contender in first]

    def _chart(
        self,
        draw: Callable[..., Figure],
        of: Mapping[str, Any],
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
            _svg(self.kept, draw, of, name=name, title=title, description=text, tips=tips),
            caption,
            tuple(keys) if legend else (),
            others=len(drawn) - len(keys) if legend else 0,
            undrawn=there - len(drawn),
        )


def bars(held: Heterogeneity, title: str, kept: KeptParts) -> Chart:
    """What each client holds, as ``fedbench show scenario`` draws it."""
    count = len(held.units)
    text = f"{count} clients' training units" + (f", by {held.label}" if held.label else "")
    svg = _svg(
        kept,
        client_bars,
        {"held": held, "title": title},
        name="clients",
        title=f"Clients of {title}",
        description=text,
        tips={},
    )
    return Chart(svg, f"{text[0].upper()}{text[1:]}.")


def _svg(kept: KeptParts, draw: Callable[..., Figure], of: Mapping[str, Any], **words: Any) -> Markup:
    """The figure that ``draw`` draws of its arguments ``of``, with the ``words`` of :func:`svg.inline`."""

    def make() -> str:
        with style.context("default", after_reset=True):  # whatever the user's own pictures look like
            return str(inline(figure=draw(**of), colours=NAMES, **words))

    return Markup(kept.text([draw.__name__, of, words], make))  # what ElementTree wrote


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
