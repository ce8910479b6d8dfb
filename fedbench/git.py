"""Git commands: each has a time limit, asks nobody for a password and fails with one line that holds none."""

from __future__ import annotations

import os
import re
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from fedbench.errors import FedbenchError

PATIENCE = 600.0
"""Seconds for one git command."""

STEP = 0.5
"""Seconds between two calls of ``check`` while a command runs."""

HARMLESS = ("-c", "core.fsmonitor=false", "-c", "core.hooksPath=/dev/null", "-c", "core.quotePath=true")
"""Words that keep a repository's own settings from making git run anything."""


def run_git(
    words: Sequence[str],
    *,
    folder: Path,
    environment: Mapping[str, str] | None = None,
    stdin: bytes = b"",
    seconds: float = PATIENCE,
    check: Callable[[], None] = lambda: None,
) -> bytes:
    """Run ``git WORDS`` in ``folder`` and return what it prints.

    ``environment`` holds further variables. ``check`` is called twice a second and may raise to stop git.

    Raises
    ------
    FedbenchError
        Git is not installed, fails (with its own reason) or takes more than ``seconds``.
    """
    command = next((word for word in words if not word.startswith("-") and "=" not in word), "")
    deadline = time.monotonic() + seconds
    try:
        with subprocess.Popen(
            ["git", *words],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            cwd=folder,
            env={**os.environ, "GIT_TERMINAL_PROMPT": "0", "LC_ALL": "C", **(environment or {})},
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
                            raise FedbenchError(f"git {command} took more than {seconds:g} s") from None
                        check()
            except BaseException:
                process.kill()
                raise
    except OSError as error:
        raise FedbenchError("can't run git", why=error.strerror or error) from error
    if process.returncode:
        raise FedbenchError(f"git {command} failed", why=_reason(said.decode("utf-8", "replace")))
    return out


def is_branch(name: str) -> bool:
    """Whether git takes ``name`` as the name of a branch."""
    try:
        run_git(["check-ref-format", "--branch", name], folder=Path())
    except FedbenchError:
        return False
    return True


def without_password(text: str) -> str:
    """``text`` without the user and password that an address in it may hold."""
    return re.sub(r"://[^/\s]*@", "://", text)


def _reason(said: str) -> str:
    """The lines of git's messages that say why it failed, at most three."""
    lines = [line.strip() for line in said.splitlines() if line.strip()]
    reasons = [line for line in lines if line.startswith(("fatal:", "error:", "remote:", "!"))]
    return without_password("; ".join((reasons or lines)[:3]))
