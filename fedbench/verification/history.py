"""What a change does to records that are there already: nothing may. Asks git, runs nothing of the change."""

from __future__ import annotations

import subprocess
from collections.abc import Iterable
from pathlib import Path

from fedbench.errors import UsageError
from fedbench.verification.badges import BADGES
from fedbench.verification.ladder import Level, Verdict

HARMLESS = ("-c", "core.fsmonitor=false", "-c", "core.hooksPath=/dev/null", "-c", "core.quotePath=true")
"""A repository's own settings must not make git run anything."""

WHAT = {"A": "was added", "M": "was changed", "T": "was changed", "D": "has vanished"}


def changes(folder: Path, ref: str) -> dict[Path, str]:
    """What became of tracked files below ``folder`` since the merge base with ``ref``, by file."""
    base = _git(folder, "merge-base", "--end-of-options", ref, "HEAD").strip()
    asked = ("diff", "--name-status", "--no-renames", "--no-ext-diff", "--relative", base, "--", ".")
    lines = (line.split("\t", 1) for line in _git(folder, *asked).splitlines())
    return {folder / name: WHAT[status[0]] for status, name in lines if status[0] in WHAT}


def tampered(paths: Iterable[Path], ref: str, found: Iterable[Verdict] = ()) -> list[Verdict]:
    """A verdict for each record that was there and no longer is what it was, for badges that a change gives
    itself, and for records that are added and were ``found`` to be retired already."""
    verdicts = []
    retired = {verdict.path for verdict in found if verdict.level == Level.retired}
    for folder in (path if path.is_dir() else path.parent for path in paths):
        for path, what in changes(folder, ref).items():
            if what != "was added":
                why = f"it {what}: records that are there stay as they are"
                verdicts.append(Verdict(path, Level.unverified, why))
            elif path in retired:
                verdicts.append(
                    Verdict(path, Level.unverified, "it is retired, and nothing retired is added")
                )
        badges = folder.parent / BADGES
        if changes(folder.parent, ref).get(badges):
            why = "badges are given by those who keep the boards, not by who hands in records"
            verdicts.append(Verdict(badges, Level.unverified, why))
    return verdicts


def _git(folder: Path, *arguments: str) -> str:
    command = ["git", *HARMLESS, "-C", str(folder), *arguments]
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=60)
    except subprocess.CalledProcessError as error:
        why = error.stderr.strip().splitlines()[-1:] or ["there is none"]
        fix = "give a branch or commit whose history is here (a shallow clone has none)"
        raise UsageError("git can't tell what changed", where=folder, why=why[0], fix=fix) from error
    except (OSError, subprocess.TimeoutExpired) as error:
        raise UsageError("git can't be asked", where=folder, why=error) from error
    return done.stdout
