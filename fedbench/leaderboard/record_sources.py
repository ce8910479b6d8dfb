"""Where a board's records come from: a folder, a git remote or a data set of the Hugging Face Hub."""

from __future__ import annotations

from pathlib import Path

from fedbench.errors import UsageError
from fedbench.leaderboard.sources.fetching import RecordSource
from fedbench.leaderboard.sources.git import fetch_git
from fedbench.leaderboard.sources.hub import fetch_hub
from fedbench.verification.badges import BADGES

REMOTE = ("git:", "hf:")
"""Beginnings of the names of remote sources."""

FORMS = "a folder, git:REMOTE[#BRANCH] or hf:USER/NAME"


def open_source(name: str) -> RecordSource:
    """Open the records that ``name`` stands for, fetching remote ones; :class:`UsageError` if it has none."""
    if name.startswith("git:"):
        return fetch_git(name)
    if name.startswith("hf:"):
        return fetch_hub(name)
    return local_source(Path(name))


def local_source(folder: Path) -> RecordSource:
    """The records below ``folder``, with the badges beside it."""
    if not folder.is_dir():
        raise UsageError(f"no such folder of records: {folder}", fix=f"records are {FORMS}")
    named = folder if folder.name not in ("", "..") else folder.resolve()  # what lies beside "." is not in it
    return RecordSource(str(folder), named, named.parent / BADGES)
