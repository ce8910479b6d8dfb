"""Views of results that need pandas or matplotlib, loaded by name, since their modules import the results."""

from __future__ import annotations

from importlib import import_module
from typing import Any, Literal

VIEWS = {
    "record frame": "fedbench.results.frames:record_frame",
    "record html": "fedbench.results.notebook:record_html",
    "comparison html": "fedbench.results.notebook:comparison_html",
}
"""The function that draws each view, as ``module:function``; loaded when it is first asked for."""


def view(name: Literal["record frame", "record html", "comparison html"], value: Any) -> Any:
    """Draw the view ``name`` of a record or a comparison."""
    module, _, function = VIEWS[name].partition(":")
    return getattr(import_module(module), function)(value)
