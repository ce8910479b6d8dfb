"""Where every page lies below the site's root, and how one page links to another."""

from __future__ import annotations

import posixpath
import re
from urllib.parse import quote

from fedbench.fingerprint import sha256_json

INDEX = "index.html"
SCENARIOS = "scenarios/index.html"
METHODS = "methods/index.html"
COPIED = "records"
"""Where a site keeps its records, unless they lie beside it."""

STYLE, SCRIPT, ICON = "assets/site.css", "assets/site.js", "assets/icon.svg"


def board(name: str) -> str:
    """Locate the page of a board, below the site's root."""
    return f"boards/{slug(name)}/index.html"


def standing(board: str, scenario: str) -> str:
    """Locate a board's page of one scenario."""
    return f"boards/{slug(board)}/scenario-{slug(scenario)}.html"


def entry(board: str, key: str) -> str:
    """Locate a board's page of one contender."""
    return f"boards/{slug(board)}/entry-{slug(key)}.html"


def scenario(name: str) -> str:
    """Locate the page of a scenario."""
    return f"scenarios/{slug(name)}/{INDEX}"


def sample(name: str, client: int) -> str:
    """Locate the picture of what a client of a scenario holds."""
    return f"scenarios/{slug(name)}/client-{client}.webp"


def method(plugin: str, name: str) -> str:
    """Locate the page of a plugin's method."""
    return f"methods/{slug(plugin)}/{slug(name)}.html"


def slug(name: str) -> str:
    """``name`` as part of a file name; one that has to change ends in a hash, so that names stay apart."""
    clean = re.sub(r"[^A-Za-z0-9_-]+", "-", name)[:80]
    return clean if clean == name else f"{clean}-{sha256_json(name)[:8]}"


def relative(target: str, page: str) -> str:
    """The address of ``target`` as ``page`` links to it; both are paths below the site's root."""
    return quote(posixpath.relpath(target, posixpath.dirname(page)))


def safe(address: str) -> str:
    """``address`` if a browser may follow it, else nothing: only http and https."""
    return address if re.match(r"https?://[^\s]+\Z", address) else ""


def paper(citation: str) -> str:
    """The address of the paper that a citation such as "Li et al. 2020, arXiv 1812.06127" is about."""
    if match := re.search(r"\barXiv[: ]\s*(\d{4}\.\d{4,5})\b", citation):
        return f"https://arxiv.org/abs/{match[1]}"
    return safe(citation)
