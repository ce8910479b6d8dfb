"""A branch of a git remote, such as the one that GitHub Pages serves. Needs the ``git`` command.

The branch is read first, and what is pushed is a commit on top of what was read: nothing is ever forced.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from fedbench.errors import UsageError
from fedbench.leaderboard.git import Git, is_branch, without_password
from fedbench.leaderboard.publishing import Changes, site_changes


class GitPublisher:
    """Publishes to ``git:REMOTE#BRANCH``; the remote is an address or a path, not the name of a remote."""

    def __init__(self, target: str) -> None:
        self.remote, _, self.branch = target.rpartition("#")
        if not self.remote or self.remote.startswith("-"):
            raise UsageError(
                f"git:{without_password(target)} names no remote and branch", fix="git:REMOTE#BRANCH"
            )
        if Path(self.remote).exists():
            self.remote = str(Path(self.remote).resolve())
        if not is_branch(self.branch):
            raise UsageError(
                f"git:{without_password(target)}", why=f"{self.branch!r} is no name for a branch"
            )

    def prepare(self, site: Path, scratch: Path) -> GitPublication:
        """Read the branch; ``scratch`` becomes a repository with what is needed of it."""
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
        return GitPublication(git, self.remote, ref, tip, site_changes(site, there))


@dataclass(frozen=True)
class GitPublication:
    """The branch at ``tip`` (empty if it is not there yet) and the site as what comes next."""

    git: Git
    remote: str
    ref: str
    tip: str
    changes: Changes

    def push(self, message: str) -> str:
        """Commit the site on top of ``tip`` and push it; where it went, without a password."""
        names = [row["file"] for row in self.changes.rows]
        self.git("update-index", "--add", "--remove", "-z", "--stdin", stdin="".join(f"{n}\0" for n in names))
        tree = self.git("write-tree").strip()
        parents = ("-p", self.tip) if self.tip else ()
        commit = self.git("commit-tree", tree, *parents, "-m", message).strip()
        self.git("push", "--quiet", "--", self.remote, f"{commit}:{self.ref}")
        return f"{without_password(self.remote)} {self.ref.removeprefix('refs/heads/')} {commit[:12]}"
