"""The clients of a scenario as ``fedbench show`` prints them. Imports scipy; import it late."""

from __future__ import annotations

from pathlib import Path
from textwrap import fill
from typing import Any

import numpy as np
from tabulate import SEPARATING_LINE, tabulate

from fedbench.cli.main import warn
from fedbench.data.heterogeneity import Heterogeneity, default_label, heterogeneity
from fedbench.data.loading import load_data, load_partition
from fedbench.resolution import ResolvedScenario
from fedbench.results.markdown import visible

MOST_CLIENTS = 24
"""Most clients with a row each in the table; more are summarised."""


def load(resolved: ResolvedScenario, label: str | None) -> Heterogeneity:
    """Load what the clients hold, counted by ``label`` or by default by :func:`default_label`'s."""
    data = load_data(resolved)
    for note in data.notes:
        warn(f"data {data.name!r}: {note}")
    chosen = label or default_label(resolved.scenario, data)
    return heterogeneity(data, load_partition(resolved, data), chosen, resolved.scenario.modality)


def draw(clients: Heterogeneity, title: str, picture: Path) -> None:
    """Draw the clients into the file ``picture``."""
    from fedbench.results.pictures import client_bars, save

    save(client_bars(clients, title), picture)
    warn(f"wrote {picture}")


def listed(clients: Heterogeneity) -> dict[str, Any]:
    """List everything that is known of the clients, for programs."""
    return {
        "label": clients.label,
        "label_skew": clients.label_skew,
        "chance_skew": clients.chance_skew,
        "size_skew": clients.size_skew,
        "clients": [
            {
                "client": client,
                "units": int(clients.units[client]),
                "pairs": int(clients.pairs[client]),
                "held_out": int(clients.held_out[client]),
                **{key: int(counts[client]) for key, counts in _missing(clients).items()},
                "histogram": dict(zip(clients.classes, counts.tolist(), strict=True)),
            }
            for client, counts in enumerate(clients.histogram)
        ],
    }


def _missing(clients: Heterogeneity) -> dict[str, np.ndarray]:
    """How many pairs of each client lack something, by what; empty where nothing may be missing."""
    counts = {"without_image": clients.without_image, "without_text": clients.without_text}
    return {key: of_clients for key, of_clients in counts.items() if of_clients is not None}


def table(clients: Heterogeneity) -> str:
    """Format a row for each client, or the spread of each column for many clients; then the sum."""
    classes, histogram = clients.commonest()
    missing = _missing(clients)
    numbers = np.column_stack([clients.units, clients.pairs, clients.held_out, *missing.values(), histogram])
    if len(numbers) > MOST_CLIENTS:
        named = [("min", numbers.min(0)), ("median", np.median(numbers, 0)), ("max", numbers.max(0))]
    else:
        named = [(str(client), row) for client, row in enumerate(numbers)]
    rows = [[name, *(f"{x:.15g}" for x in row)] for name, row in [*named, ("all", numbers.sum(0))]]
    # Not as tabulate's headers: it pads those, and eight classes would not fit 120 columns.
    wrapped = [fill(visible(name), 10, break_long_words=False) for name in classes]
    lacking = [fill(key.replace("_", " "), 10) for key in missing]
    names = ["client", "units", "pairs", "held out", *lacking, *wrapped]
    lines = [names, SEPARATING_LINE, *rows[:-1], SEPARATING_LINE, rows[-1]]
    return tabulate(lines, tablefmt="simple", disable_numparse=True, stralign="right")


def skews(clients: Heterogeneity) -> str:
    """Format the size skew and, for data with labels, the label skew and the one expected by chance."""
    rows = [("size skew", f"{clients.size_skew:.3f}", "coefficient of variation of the units; 0: equal")]
    if clients.label_skew is not None:
        why = (
            f"Jensen–Shannon divergence of {visible(clients.label or '')}, client from all, in bits; 0: alike"
        )
        rows.append(("label skew", f"{clients.label_skew:.3f}", why))
        rows.append(
            ("by chance", f"{clients.chance_skew:.3f}", "label skew if the units were dealt at random")
        )
    shown = tabulate(rows, tablefmt="plain", disable_numparse=True)
    if len(clients.units) > MOST_CLIENTS:
        shown += f"\n\n{len(clients.units)} clients; --format json lists each of them"
    return shown
