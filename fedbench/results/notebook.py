"""HTML views of a record and a comparison, without scripts. Imports matplotlib; import it late."""

from __future__ import annotations

import io
from base64 import b64encode
from collections.abc import Iterator
from typing import TYPE_CHECKING

import matplotlib as mpl
from jinja2 import Environment, PackageLoader, StrictUndefined, Template
from matplotlib.figure import Figure

from fedbench.results.markdown import visible
from fedbench.results.own_part import final_scores, round_scores
from fedbench.results.pictures import learning_curves
from fedbench.results.records import Record
from fedbench.results.run_summary import run_of
from fedbench.results.time_by_part import seconds_by_part

if TYPE_CHECKING:
    from fedbench.results.comparison_table import Comparison

MANY = 12
"""Most lines that a comparison's picture shows."""

WIDE = ("± items", "drop", "rounds to target", "MB to target", "examples", "effect")
"""Columns of a comparison that a notebook folds away."""


def record_html(record: Record) -> str:
    """Render a record's headline: what was run, the result, its cost, and the learning curve."""
    run = run_of(record)
    curves = {run.title: {run.method.name: [run]}} if record.primary in run.curves else {}
    return _page("record.html").render(
        record=record,
        title=run.title,
        facts=dict(_facts(record)),
        picture=_embedded(learning_curves(curves)) if curves else "",
    )


def comparison_html(comparison: Comparison) -> str:
    """Render a comparison's tables with intervals and verdicts, and the learning curves below."""
    panels = {title: dict(list(lines.items())[:MANY]) for title, lines in comparison.panels.items()}
    return _page("comparison.html").render(
        tables=comparison.tables,
        wide=WIDE,
        picture=_embedded(learning_curves(panels, comparison.metric)),
    )


def _facts(record: Record) -> Iterator[tuple[str, str]]:
    """List the names and values of a record's headline."""
    start = round_scores(record)[0].get(record.primary) if record.rounds else None
    if primary := final_scores(record).get(record.primary):
        yield record.primary, str(primary) + (f", from {start.value:.4f} at the start" if start else "")
    if record.spread:
        yield "worst client", f"{record.spread.worst:.4f} (mean of clients {record.spread.mean:.4f})"
    costs = record.costs
    yield "sent up, down", f"{costs.uplink_bytes / 1e6:.1f} MB, {costs.downlink_bytes / 1e6:.1f} MB"
    yield "examples", f"{costs.client_examples}"
    yield "time", f"{record.wall_seconds:.0f} s on {record.environment.get('device', 'an unknown device')}"
    parts = ", ".join(f"{part} {seconds:.0f} s" for part, seconds in seconds_by_part(record).items())
    yield "of it", parts
    if record.left_out:
        yield "left out", ", ".join(f"{count} {why}" for why, count in record.left_out.items())
    if record.method.options:
        yield "options", ", ".join(f"{key}={value}" for key, value in record.method.options.items())
    if record.scenario.changes:
        yield "changed", ", ".join(f"{key}={value}" for key, value in record.scenario.changes.items())
    for name, reason in (("error", record.error), ("stopped", record.stopped)):
        if reason:
            yield name, reason


def _embedded(figure: Figure) -> str:
    """Embed a picture as a data address: an SVG image without scripts, whose styles do not leak."""
    file = io.BytesIO()
    with mpl.rc_context({"svg.hashsalt": "fedbench"}):
        figure.savefig(file, format="svg", metadata={"Date": None})
    return f"data:image/svg+xml;base64,{b64encode(file.getvalue()).decode()}"


def _page(name: str) -> Template:
    """Load a template that escapes every value and shows no character that HTML can't hold."""
    environment = Environment(
        loader=PackageLoader("fedbench.results"),
        autoescape=True,
        undefined=StrictUndefined,
        finalize=lambda value: visible(value) if type(value) is str else value,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    return environment.get_template(name)
