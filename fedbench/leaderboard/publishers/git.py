"""A branch of a git remote, such as the one that GitHub Pages serves. Needs the ``git`` command.

The branch is read first, and what is pushed is a commit on top of what was read: nothing is ever forced.
"""

from __future__ import annotations

import os
import re
import subprocess
from dataclasses import dataclass
from pathlib import Path

from fedbench.errors import FedbenchError, UsageError
from fedbench.leaderboard.publishing import Changes, compare

PATIENCE = 600
"""Seconds for one git command."""


class GitPublisher:
    """``git:REMOTE#BRANCH``; the remote is an address or a path, not the name of a remote."""

    def __init__(self, target: str) -> None:
        self.remote, _, self.branch = target.rpartition("#")
        if not self.remote or self.remote.startswith("-"):
            raise UsageError(f"git:{_unnamed(target)} names no remote and branch", fix="git:REMOTE#BRANCH")
        if Path(self.remote).exists():
            self.remote = str(Path(self.remote).resolve())
        name = subprocess.run(["git", "check-ref-format", "--branch", self.branch], capture_output=True)
        if name.returncode:
            raise UsageError(f"git:{_unnamed(target)}", why=f"{self.branch!r} is no name for a branch")

    def prepare(self, site: Path, scratch: Path) -> GitPublication:
        git = Git(scratch, site)
        git("init", "--quiet")
        ref = f"refs/heads/{self.branch}"
        tip = git("ls-remote", "--", self.remote, ref).partition("\t")[0]
        there = {}
        if tip:
            git("fetch", "--quiet", "--depth=1", "--no-tags", "--", self.remote, ref)
            tip = git("rev-parse", "FETCH_HEAD").strip()
            git("read-tree", tip)
            listed = (line.split("\t", 1) for line in git("ls-files", "-s", "-z").split("\0") if line)
            there = {name: entry.split()[1] for entry, name in listed}
        return GitPublication(git, self.remote, ref, tip, compare(site, there))


@dataclass(frozen=True)
class GitPublication:
    """The branch at ``tip`` (empty if it is not there yet) and the site as what comes next."""

    git: Git
    remote: str
    ref: str
    tip: str
    changes: Changes

    def push(self, message: str) -> str:
        names = [row["file"] for row in self.changes.rows]
        self.git("update-index", "--add", "--remove", "-z", "--stdin", stdin="".join(f"{n}\0" for n in names))
        tree = self.git("write-tree").strip()
        parents = ("-p", self.tip) if self.tip else ()
        commit = self.git("commit-tree", tree, *parents, "-m", message).strip()
        self.git("push", "--quiet", "--", self.remote, f"{commit}:{self.ref}")
        return f"{_unnamed(self.remote)} {self.ref.removeprefix('refs/heads/')} {commit[:12]}"


@dataclass(frozen=True)
class Git:
    """Git commands on a repository of its own, in ``folder``, with the site as its work tree."""

    folder: Path
    site: Path

    def __call__(self, *arguments: str, stdin: str = "") -> str:
        command = ["git", "-c", "core.autocrlf=false", "-c", "core.quotePath=false", *arguments]
        places = {
            "GIT_DIR": str(self.folder),
            "GIT_WORK_TREE": str(self.site),
            "GIT_INDEX_FILE": str(self.folder / "index"),
        }
        asking = {"GIT_TERMINAL_PROMPT": "0", "LC_ALL": "C"}
        try:
            done = subprocess.run(
                command, input=stdin, capture_output=True, text=True, timeout=PATIENCE, cwd=self.site,
                env={**os.environ, **places, **asking},
            )  # fmt: skip
        except (OSError, subprocess.TimeoutExpired) as error:
            raise FedbenchError(f"git {arguments[0]} does not come to an end", why=error) from error
        if done.returncode:
            raise _explained(arguments[0], done.stderr)
        return done.stdout


def _explained(what: str, said: str) -> FedbenchError:
    """Git's own reason, without what an address may hold of a password."""
    lines = [line.strip() for line in said.splitlines() if line.strip()]
    reasons = [line for line in lines if line.startswith(("fatal:", "error:", "remote:", "!"))]
    why = _unnamed("; ".join((reasons or lines)[:3]))
    if "[rejected]" in said:
        return FedbenchError(
            "the branch has diverged",
            why=why,
            fix="somebody published meanwhile: publish again; nothing was forced",
        )
    return FedbenchError(f"git {what} failed", why=why)


def _unnamed(text: str) -> str:
    return re.sub(r"://[^/\s]*@", "://", text)
