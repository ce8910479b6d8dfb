"""All records of the boards: found, checked, and what is known of each."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from fedbench.catalog import Catalog
from fedbench.errors import UsageError
from fedbench.results.run_summary import RunSummary
from fedbench.verification.badges import BADGES, levels, read_badges
from fedbench.verification.ladder import Level, Verdict, verify


@dataclass(frozen=True)
class Gathered:
    """The valid records' ``runs``, by id the ``levels`` they reached, and what is wrong with the others."""

    runs: list[RunSummary]
    levels: dict[str, Level]
    refused: list[Verdict]


def gather(folder: Path, catalog: Catalog) -> Gathered:
    """Read and check every record below ``folder``; badges lie beside it."""
    if not folder.is_dir():
        raise UsageError(f"no such folder of records: {folder}")
    verdicts = verify([folder], catalog)
    return Gathered(
        runs=[verdict.run for verdict in verdicts if verdict.run is not None],
        levels=levels(verdicts, read_badges(folder.parent / BADGES)),
        refused=[verdict for verdict in verdicts if verdict.fails(Level.consistent)],
    )
