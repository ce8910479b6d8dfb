"""Reading and checking all records of the boards, from one source or several."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from fedbench.catalog import Catalog
from fedbench.errors import FedbenchError
from fedbench.leaderboard.sources.fetching import RecordSource
from fedbench.results.run_summary import RunSummary
from fedbench.verification.badges import levels, read_badges
from fedbench.verification.check_cache import open_cache
from fedbench.verification.ladder import KnownChecks, Level, Verdict, verify


@dataclass(frozen=True)
class Gathered:
    """Checked records: the valid ones' ``runs``, by id the ``levels`` they reached, and the verdicts on those
    that are ``refused`` because they are not consistent."""

    runs: list[RunSummary]
    levels: dict[str, Level]
    refused: list[Verdict]

    @property
    def counting(self) -> list[RunSummary]:
        """The runs that are consistent, so that they may count on a board."""
        return [run for run in self.runs if self.levels[run.id] >= Level.consistent]


def gather(sources: Sequence[RecordSource], catalog: Catalog) -> Gathered:
    """Read and check every record of ``sources``. A record that several hold is the first one's.

    A source's badges count for its own records. A later source is also held to agree with the earlier ones:
    its second record of a run does not count, and :class:`FedbenchError` is raised if one of theirs would no
    longer be consistent beside it.
    """
    verdicts: list[Verdict] = []
    known: dict[str, Level] = {}
    checks = open_cache(catalog)
    for position, source in enumerate(sources):
        own = verify([source.folder], catalog, checks)
        if position:
            own = _beside(own, verdicts, sources[: position + 1], catalog, checks)
        fresh = [verdict for verdict in own if verdict.run is None or verdict.run.id not in known]
        known |= levels(fresh, read_badges(source.badges))
        verdicts += fresh
    if checks:
        checks.save()
    return Gathered(
        runs=[verdict.run for verdict in verdicts if verdict.run is not None],
        levels=known,
        refused=[verdict for verdict in verdicts if verdict.fails(Level.consistent)],
    )


def _beside(
    own: Sequence[Verdict],
    earlier: Sequence[Verdict],
    sources: Sequence[RecordSource],
    catalog: Catalog,
    checks: KnownChecks | None,
) -> list[Verdict]:
    """The verdicts on the last of ``sources``, lowered where it disagrees with all of them together."""
    folders = [source.folder for source in sources]
    together = {verdict.path: verdict for verdict in verify(folders, catalog, checks)}
    for verdict in earlier:
        if verdict.level == Level.consistent and together[verdict.path].level < Level.consistent:
            raise FedbenchError(
                f"the records of {sources[-1].name} contradict those before them",
                where=verdict.path,
                why=together[verdict.path].problem,
                fix="leave one of the two out of --records",
            )
    return [
        replace(verdict, level=other.level, problem=other.problem)
        if (other := together[verdict.path]).level < verdict.level
        else verdict
        for verdict in own
    ]
