"""What is installed, for calls that are given no catalog."""

from __future__ import annotations

from fedbench.catalog import Catalog
from fedbench.plugins import Plugins


def installed_catalog() -> Catalog:
    """Everything that the installed plugins register; one that is broken is named on stderr and left out."""
    from fedbench.progress import note

    return Catalog(Plugins(warn=note))
