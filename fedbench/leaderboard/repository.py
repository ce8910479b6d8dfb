"""A git repository of our own for one transfer: what a remote holds is read into it, or written from it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from fedbench.git import run_git

PLAIN = ("-c", "core.autocrlf=false", "-c", "core.quotePath=false")
"""Settings without which names and contents would differ between machines."""


@dataclass(frozen=True)
class Repository:
    """A repository in ``folder`` whose files are those of ``work_tree``.

    ``settings`` are further words ``-c KEY=VALUE`` of every command.
    """

    folder: Path
    work_tree: Path
    settings: tuple[str, ...] = ()

    def run(self, words: Sequence[str], stdin: str = "") -> str:
        """Run ``git WORDS`` and return what it prints; :class:`FedbenchError` if it fails."""
        return self.run_bytes(words, stdin.encode()).decode("utf-8", "surrogateescape")

    def run_bytes(
        self, words: Sequence[str], stdin: bytes = b"", check: Callable[[], None] = lambda: None
    ) -> bytes:
        """The same for output that is not text; ``check`` as :func:`run_git` takes it."""
        return run_git(
            [*PLAIN, *self.settings, *words],
            folder=self.work_tree,
            environment={
                "GIT_DIR": str(self.folder),
                "GIT_WORK_TREE": str(self.work_tree),
                "GIT_INDEX_FILE": str(self.folder / "index"),
            },
            stdin=stdin,
            check=check,
        )

    def create(self) -> None:
        """Make the repository, without a commit."""
        self.run(["init", "--quiet"])

    def tip(self, remote: str, ref: str) -> str:
        """The hash of the commit that ``ref`` of ``remote`` is at; empty if it has no such ref."""
        return self.run(["ls-remote", "--", remote, ref]).partition("\t")[0]

    def fetch(self, remote: str, ref: str, check: Callable[[], None] = lambda: None) -> None:
        """Fetch the commit that ``ref`` of ``remote`` is at, without its history, as ``FETCH_HEAD``."""
        alone = ("--quiet", "--depth=1", "--no-tags", "--no-recurse-submodules")
        self.run_bytes(["fetch", *alone, "--", remote, ref], check=check)
