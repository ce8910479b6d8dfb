"""Git commands on a repository of their own, with errors of one line that hold no password."""

from __future__ import annotations

import os
import re
import subprocess
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from fedbench.errors import FedbenchError

PATIENCE = 600
"""Seconds for one git command."""

STEP = 0.5
"""Seconds between two looks at a command that runs."""

PLAIN = ("-c", "core.autocrlf=false", "-c", "core.quotePath=false")
"""Settings without which names and contents would differ between machines."""


@dataclass(frozen=True)
class Git:
    """Runs git commands on the repository in ``folder``, whose files are those of ``work_tree``.

    ``settings`` are further ``-c KEY=VALUE`` words. Git asks nobody for a password.
    """

    folder: Path
    work_tree: Path
    settings: tuple[str, ...] = ()

    def __call__(self, *arguments: str, stdin: str = "") -> str:
        """Run ``git ARGUMENTS`` and return what it prints; :class:`FedbenchError` if it fails."""
        return self.bytes(*arguments, stdin=stdin.encode()).decode("utf-8", "surrogateescape")

    def bytes(self, *arguments: str, stdin: bytes = b"", check: Callable[[], None] = lambda: None) -> bytes:
        """The same for output that is not text; ``check`` is called now and then and may raise to stop it."""
        deadline = time.monotonic() + PATIENCE
        try:
            with subprocess.Popen(
                ["git", *PLAIN, *self.settings, *arguments],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                cwd=self.work_tree,
                env=self._environment(),
            ) as process:
                try:
                    given: bytes | None = stdin
                    while True:
                        try:
                            out, said = process.communicate(given, timeout=STEP)
                            break
                        except subprocess.TimeoutExpired:
                            given = None  # the rest is sent by itself
                            if time.monotonic() > deadline:
                                raise
                            check()
                except BaseException:
                    process.kill()
                    raise
        except (OSError, subprocess.TimeoutExpired) as error:
            raise FedbenchError(f"git {arguments[0]} does not come to an end", why=error) from error
        if process.returncode:
            raise _explained(arguments[0], said.decode("utf-8", "replace"))
        return out

    def _environment(self) -> dict[str, str]:
        return {
            **os.environ,
            "GIT_DIR": str(self.folder),
            "GIT_WORK_TREE": str(self.work_tree),
            "GIT_INDEX_FILE": str(self.folder / "index"),
            "GIT_TERMINAL_PROMPT": "0",
            "LC_ALL": "C",
        }


def is_branch(name: str) -> bool:
    """Whether git takes ``name`` as the name of a branch."""
    return not subprocess.run(["git", "check-ref-format", "--branch", name], capture_output=True).returncode


def without_password(text: str) -> str:
    """``text`` without the user and password that an address in it may hold."""
    return re.sub(r"://[^/\s]*@", "://", text)


def _explained(command: str, said: str) -> FedbenchError:
    """Git's own reason as an error."""
    lines = [line.strip() for line in said.splitlines() if line.strip()]
    reasons = [line for line in lines if line.startswith(("fatal:", "error:", "remote:", "!"))]
    why = without_password("; ".join((reasons or lines)[:3]))
    if "[rejected]" in said:
        return FedbenchError(
            "the branch has diverged",
            why=why,
            fix="somebody published meanwhile: publish again; nothing was forced",
        )
    return FedbenchError(f"git {command} failed", why=why)
