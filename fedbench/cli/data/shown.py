"""A data report as ``fedbench data check`` prints it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
from tabulate import tabulate

from fedbench.cli import clients
from fedbench.results.markdown import visible
from fedbench.runs.data_report import DataReport, Fault, counted

MOST_NUMBERS = 8
"""Numbers that are listed of one kind of fault; ``--format json`` has all of them."""

WIDEST = 100
"""Characters of a line about a fault."""


def listed(report: DataReport) -> dict[str, Any]:
    """List everything that is known, for programs."""
    encoding = report.encoding
    return {
        "data": report.data.name,
        "fingerprint": report.fingerprint,
        "rows": counted(report.data),
        "images": {
            "number": len(report.data.images),
            "units": _units(report),
            "repeated": _repeated(report),
            "smallest": _size(report, 0),
            "median": _size(report, 0.5),
            "largest": _size(report, 1),
        },
        "left_out": [_fault(fault) for fault in report.left_out],
        "broken": [_fault(fault) for fault in report.broken],
        "suites": _suites(report),
        "heterogeneity": clients.listed(report.clients) if report.clients else None,
        "features": None
        if encoding is None
        else {
            "shape": encoding.shape,
            "bytes": encoding.bytes,
            "estimated_seconds": encoding.seconds,
            "images_timed": encoding.sample,
        },
    }


def tables(report: DataReport) -> Iterator[str]:
    """Format the report as tables, what is broken last."""
    yield tabulate([*_brief(report)], tablefmt="plain", disable_numparse=True)
    yield tabulate(_suites(report), headers="keys", tablefmt="simple", disable_numparse=True)
    if report.clients:
        yield clients.table(report.clients)
        yield clients.skews(report.clients)
    if report.left_out:
        yield f"left out, as the scenario says (skip_broken):\n{_faults(report.left_out)}"
    if report.broken:
        yield f"broken:\n{_faults(report.broken)}"


def by_kind(faults: Sequence[Fault]) -> dict[str, int]:
    """Count faults by kind and place, as a picture names them."""
    return {f"{fault.kind}: {fault.what}": len(fault.numbers) or 1 for fault in faults}


def _brief(report: DataReport) -> Iterator[tuple[str, str]]:
    yield "data", report.data.name
    yield "fingerprint", report.fingerprint or "none before what is broken is mended"
    for what, count in counted(report.data).items():
        yield what, f"{count:,}"
    yield "images", f"{len(report.data.images):,} of {_units(report):,} units"
    if len(report.images.whole):
        wanted = {"smallest": 0.0, "median": 0.5, "largest": 1.0}
        sizes = {name: _size(report, quantile) for name, quantile in wanted.items()}
        shown = (f"{name} {width} × {height}" for name, (width, height) in sizes.items())
        yield "", f"{', '.join(shown)} pixels"
    if repeated := _repeated(report):
        yield "", f"{repeated:,} are the same image as one of another unit"
    if encoding := report.encoding:
        _, tokens, width = encoding.shape
        yield "features", f"{_bytes(encoding.bytes)}: {tokens} × {width} numbers an image"
        yield (
            "encoding",
            f"about {_duration(encoding.seconds)} on this machine, once:"
            f" an estimate from {encoding.sample} images",
        )


def _suites(report: DataReport) -> list[dict[str, Any]]:
    return [
        {
            "suite": visible(key),
            "form": visible(suite.form),
            "items": len(suite.items),
            "images": len({item.image for item in suite.items}),
            "groups": len({item.group for item in suite.items}),
        }
        for key, suite in report.data.suites.items()
    ]


def _faults(faults: Sequence[Fault]) -> str:
    rows = [
        {
            "number": len(fault.numbers) or 1,
            "fault": fault.kind,
            "in": visible(fault.what),
            "which": _numbers(fault.numbers),
            "such as": _short(visible(fault.example)),
        }
        for fault in faults
    ]
    kept = [key for key in rows[0] if any(row[key] for row in rows)]
    rows = [{key: row[key] for key in kept} for row in rows]
    return tabulate(rows, headers="keys", tablefmt="simple", disable_numparse=True)


def _fault(fault: Fault) -> dict[str, Any]:
    return {
        "kind": fault.kind,
        "what": fault.what,
        "numbers": list(fault.numbers),
        "example": fault.example,
    }


def _numbers(numbers: Sequence[int]) -> str:
    shown = ", ".join(map(str, numbers[:MOST_NUMBERS]))
    return f"{shown}, …" if numbers[MOST_NUMBERS:] else shown


def _short(line: str) -> str:
    return line if len(line) <= WIDEST else f"{line[: WIDEST - 1]}…"


def _units(report: DataReport) -> int:
    units = np.asarray(report.data.units)
    return len(np.unique(units[units >= 0]))


def _repeated(report: DataReport) -> int:
    return report.images.repeated(np.asarray(report.data.units))


def _size(report: DataReport, quantile: float) -> list[int]:
    """Width and height of the image at ``quantile`` of all by their pixels."""
    sizes = report.images.sizes[report.images.whole]
    if not len(sizes):
        return [0, 0]
    order = np.argsort(sizes.prod(1), kind="stable")
    width, height = sizes[order[round(quantile * (len(sizes) - 1))]]
    return [int(width), int(height)]


def _bytes(number: int) -> str:
    return f"{number / 1e9:,.1f} GB" if number >= 1e9 else f"{number / 1e6:,.1f} MB"


def _duration(seconds: float) -> str:
    if seconds < 100:
        return f"{seconds:.1f} s"
    return f"{seconds / 60:.0f} min" if seconds < 6000 else f"{seconds / 3600:.1f} h"
