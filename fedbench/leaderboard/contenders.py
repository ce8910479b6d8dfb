"""From runs to contenders: which runs are one entry, and what it is called."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence

from fedbench.fingerprint import sha256_json
from fedbench.leaderboard.contest import Contest
from fedbench.leaderboard.standings import Contender
from fedbench.results.run_summary import RunSummary, unusual
from fedbench.verification.safety import cut

KEY_DIGITS = 16
"""Digits of the hash in a contender's key: enough that options with another's key can't be searched for."""

LONGEST_OPTIONS = 200
"""Most characters of options in a row's name; a foreign method's may be of any length."""

Identity = tuple[str, ...]
"""Method, plugin and, under the rules ``default``, options."""


def by_contender(contest: Contest, runs: Iterable[RunSummary]) -> dict[Identity, list[RunSummary]]:
    """The runs of each entry: those of a method, under the rules ``default`` with the same options."""
    return grouped(runs, lambda run: run.contender if contest.board.rules == "default" else run.contender[:2])


def grouped(
    runs: Iterable[RunSummary], key: Callable[[RunSummary], Identity]
) -> dict[Identity, list[RunSummary]]:
    """``runs`` by their ``key``, in their order."""
    groups: dict[Identity, list[RunSummary]] = defaultdict(list)
    for run in runs:
        groups[key(run)].append(run)
    return groups


def contender(contest: Contest, identity: Identity, runs: Sequence[RunSummary]) -> Contender:
    """The entry whose ``runs`` these are."""
    name, plugin = identity[:2]
    first, known = runs[0], contest.methods.get((name, plugin))
    providers = sorted({(run.method.provider.distribution, run.method.provider.version) for run in runs})
    options = unusual(first.method.options, known.defaults if known else {}) if len(identity) > 2 else ""
    return Contender(
        key=f"{name}-{sha256_json(identity)[:KEY_DIGITS]}",
        method=name,
        options=cut(options, LONGEST_OPTIONS),
        plugin=plugin,
        distribution=", ".join(dict.fromkeys(distribution for distribution, _ in providers)),
        versions=tuple(dict.fromkeys(version for _, version in providers)),
        summary=known.summary if known else "",
        paper=known.paper if known else "",
        installed=known is not None,
        privileged=any(run.privileged for run in runs),
        anchor=first.contender in [contest.anchor_contenders[name] for name in contest.anchors.unranked],
    )
