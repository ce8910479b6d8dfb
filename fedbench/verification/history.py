"""What a change does to records that are there already: nothing is allowed. Asks git, runs nothing."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path

from fedbench.errors import FedbenchError, UsageError
from fedbench.git import HARMLESS, run_git
from fedbench.verification.badges import BADGES
from fedbench.verification.ladder import Level, Verdict

STATUS = {"A": "was added", "M": "was changed", "T": "was changed", "D": "has vanished"}
"""Git's letters for what became of a file."""


def changes(folder: Path, ref: str) -> dict[Path, str]:
    """What became of tracked files below ``folder`` since the merge base with ``ref``, by file."""
    base = _git(folder, ["merge-base", "--end-of-options", ref, "HEAD"]).strip()
    options = ("--name-status", "--no-renames", "--no-ext-diff", "--relative")
    listing = _git(folder, ["diff", *options, base, "--", "."])
    lines = (line.split("\t", 1) for line in listing.splitlines())
    return {folder / name: STATUS[status[0]] for status, name in lines if status[0] in STATUS}


def tampered(paths: Iterable[Path], ref: str, verdicts: Iterable[Verdict] = ()) -> list[Verdict]:
    """A verdict for everything that the change since ``ref`` must not do.

    Refuses records that were changed or have vanished, badges that a change gives itself, and records that it
    adds although ``verdicts`` say that they are retired.
    """
    refused = []
    retired = {verdict.path for verdict in verdicts if verdict.level == Level.retired}
    for folder in (path if path.is_dir() else path.parent for path in paths):
        for path, what in changes(folder, ref).items():
            if what != "was added":
                refused.append(_refused(path, f"it {what}: records that are there stay as they are"))
            elif path in retired:
                refused.append(_refused(path, "it is retired, and nothing retired is added"))
        badges = folder.parent / BADGES
        if changes(folder.parent, ref).get(badges):
            problem = "badges are given by those who keep the boards, not by who hands in records"
            refused.append(_refused(badges, problem))
    return refused


def _refused(path: Path, problem: str) -> Verdict:
    return Verdict(path=path, level=Level.unverified, problem=problem)


def _git(folder: Path, words: Sequence[str]) -> str:
    """The output of a git command in ``folder``."""
    try:
        return run_git([*HARMLESS, *words], folder=folder, seconds=60).decode("utf-8", "surrogateescape")
    except FedbenchError as error:
        fix = "give a branch or commit whose history is here (a shallow clone has none)"
        raise UsageError("git can't tell what changed", where=folder, why=error, fix=fix) from error
