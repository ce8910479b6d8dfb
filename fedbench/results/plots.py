"""Pictures: SVG, PNG or PDF files, the same bytes for the same data. Imports matplotlib; import it late."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import matplotlib as mpl
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from fedbench.data.heterogeneity import Heterogeneity
from fedbench.errors import UsageError
from fedbench.files import atomic_path

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
