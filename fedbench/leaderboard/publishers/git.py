"""A branch of a git remote, such as the one that GitHub Pages serves. Needs the ``git`` command.

The branch is read first, and what is pushed is a commit on top of what was read: nothing is ever forced.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from fedbench.errors import FedbenchError, UsageError
from fedbench.git import is_branch, without_password
from fedbench.leaderboard.publishing import Changes, site_changes
from fedbench.leaderboard.repository import Repository


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
        repository = Repository(folder=scratch, work_tree=site)
        repository.create()
        ref = f"refs/heads/{self.branch}"
        tip = repository.tip(self.remote, ref)
        there = {}
        if tip:
            repository.fetch(self.remote, ref)
            tip = repository.run(["rev-parse", "FETCH_HEAD"]).strip()
            repository.run(["read-tree", tip])
            lines = repository.run(["ls-files", "-s", "-z"]).split("\0")
            entries = (line.split("\t", 1) for line in lines if line)
            there = {name: entry.split()[1] for entry, name in entries}
        return GitPublication(
            repository=repository, remote=self.remote, ref=ref, tip=tip, changes=site_changes(site, there)
        )


@dataclass(frozen=True)
class GitPublication:
    """The branch at ``tip`` (empty if it is not there yet) and the site as what comes next."""

    repository: Repository
    remote: str
    ref: str
    tip: str
    changes: Changes

    def push(self, message: str) -> str:
        """Commit the site on top of ``tip`` and push it; where it went, without a password."""
        run = self.repository.run
        names = "".join(f"{row['file']}\0" for row in self.changes.rows)
        run(["update-index", "--add", "--remove", "-z", "--stdin"], stdin=names)
        tree = run(["write-tree"]).strip()
        parents = ("-p", self.tip) if self.tip else ()
        commit = run(["commit-tree", tree, *parents, "-m", message]).strip()
        try:
            run(["push", "--quiet", "--", self.remote, f"{commit}:{self.ref}"])
        except FedbenchError as error:
            if "[rejected]" not in str(error):
                raise
            fix = "somebody published meanwhile: publish again; nothing was forced"
            raise FedbenchError("the branch has diverged", why=error, fix=fix) from error
        return f"{without_password(self.remote)} {self.ref.removeprefix('refs/heads/')} {commit[:12]}"
