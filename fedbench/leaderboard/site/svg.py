"""Matplotlib figures as SVG inside a page, with the page's colours and font, a title and a description.

They need no inline style, so that the page's Content-Security-Policy can forbid those.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from io import BytesIO
from itertools import count
from xml.etree import ElementTree
from xml.etree.ElementTree import Element

import matplotlib as mpl
from markupsafe import Markup
from matplotlib.figure import Figure

SVG, XLINK = "http://www.w3.org/2000/svg", "http://www.w3.org/1999/xlink"
HREF = f"{{{XLINK}}}href"
NUMBERS = ("d", "x", "y", "transform", "points")
KEPT = {
    "fill",
    "fill-opacity",
    "stroke",
    "stroke-width",
    "stroke-opacity",
    "stroke-dasharray",
    "stroke-dashoffset",
    "stroke-linecap",
    "stroke-linejoin",
    "opacity",
    "font-size",
    "font-weight",
    "text-anchor",
}
SERIES = "series:"
"""An artist whose gid begins so becomes a group that the page's script can find by what follows."""


def inline(
    figure: Figure,
    name: str,
    title: str,
    description: str,
    colours: Mapping[str, str],
    tips: Mapping[str, str],
) -> Markup:
    """Draw the figure as an ``<svg>`` element; ``name`` is unique in its page. ``colours`` maps the figure's
    (as ``#rrggbb``) to the style sheet's names, ``tips`` a series to the text shown when it is pointed at."""
    root = _drawn(figure)
    _strip(root)
    _rename(root, name)
    for element in root.iter():
        _plain(element, colours)
        _series(element, tips)
        if HREF in element.attrib:
            element.attrib["href"] = element.attrib.pop(HREF)
    for key in ("width", "height", "version"):
        root.attrib.pop(key)
    root.attrib |= {"class": "chart", "role": "img", "aria-labelledby": f"{name}-title {name}-text"}
    for place, (tag, text) in enumerate((("title", title), ("desc", description))):
        said = Element(f"{{{SVG}}}{tag}", {"id": f"{name}-{'text' if place else 'title'}"})
        said.text = text
        root.insert(place, said)
    ElementTree.register_namespace("", SVG)
    return Markup(ElementTree.tostring(root, encoding="unicode"))  # ElementTree has escaped every text


def _drawn(figure: Figure) -> Element:
    buffer = BytesIO()
    with mpl.rc_context({"svg.fonttype": "none", "svg.hashsalt": "fedbench"}):
        figure.savefig(buffer, format="svg", transparent=True, metadata={"Date": None})
    return ElementTree.fromstring(buffer.getvalue())


def _strip(element: Element) -> None:
    """Leave out metadata, style sheets and the empty patches behind figure and axes."""
    for child in list(element):
        empty = child.tag == f"{{{SVG}}}path" and child.get("style") == "fill: none"
        if empty or child.tag in (f"{{{SVG}}}metadata", f"{{{SVG}}}style"):
            element.remove(child)
        else:
            _strip(child)
            child.tail = None
            if child.tag != f"{{{SVG}}}text":
                child.text = None
            if child.tag in (f"{{{SVG}}}g", f"{{{SVG}}}defs") and not len(child):
                element.remove(child)
    element.text = element.text if element.tag == f"{{{SVG}}}text" else None


def _rename(root: Element, name: str) -> None:
    """Give ids that are referred to a name that is unique in the page, and remove the others."""
    references = [(e, key) for e in root.iter() for key in (HREF, "clip-path") if key in e.attrib]
    numbers = count()
    new = {
        old: f"{name}-{next(numbers)}"
        for old in dict.fromkeys(re.sub(r"^url\(#|^#|\)$", "", e.attrib[key]) for e, key in references)
    }
    for element, key in references:
        old = re.sub(r"^url\(#|^#|\)$", "", element.attrib[key])
        element.attrib[key] = element.attrib[key].replace(old, new[old])
    for element in root.iter():
        if (old := element.get("id", "")) in new:
            element.attrib["id"] = new[old]
        elif old and not old.startswith(SERIES):
            del element.attrib["id"]


def _plain(element: Element, colours: Mapping[str, str]) -> None:
    """Write styles as attributes, colours by name and coordinates to a hundredth."""
    for declaration in element.attrib.pop("style", "").split(";"):
        key, _, value = (part.strip() for part in declaration.partition(":"))
        if key in KEPT:
            element.attrib[key] = colours.get(value, value)
    for key in NUMBERS:
        if key in element.attrib:
            element.attrib[key] = re.sub(r"-?\d+\.\d+", _hundredth, " ".join(element.attrib[key].split()))


def _hundredth(number: re.Match[str]) -> str:
    return f"{float(number[0]):.2f}".rstrip("0").rstrip(".")


def _series(element: Element, tips: Mapping[str, str]) -> None:
    """Turn ``id="series:KEY"``, which may occur twice, into data, and add the series' tip."""
    if element.get("id", "").startswith(SERIES):
        key = element.attrib.pop("id").removeprefix(SERIES)
        element.attrib |= {"class": "series", "data-series": key}
        tip = Element(f"{{{SVG}}}title")
        tip.text = tips.get(key, "")
        element.insert(0, tip)
