"""What a run ran on: interpreter, platform, package versions, processor, git state."""

from __future__ import annotations

import os
import platform
import subprocess
from collections.abc import Mapping
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import torch

PACKAGES = (
    "fedbench-suite", "torch", "transformers", "tokenizers", "safetensors", "numpy", "scipy", "pluggy",
    "pydantic", "datasets", "evaluate", "pyarrow", "pillow",
)  # fmt: skip

CODE = (".", ":(exclude)leaderboards", ":(exclude)runs")


def describe() -> dict[str, Any]:
    """JSON-ready; imports nothing heavy and names no path of the machine."""
    return {
        "python": platform.python_version(),
        "platform": f"{platform.system()} {platform.machine()}",
        "processor": _processor(),
        "cores": os.cpu_count(),
        "packages": {name: found for name in PACKAGES if (found := _version(name))},
        "git": _git(),
    }


def device_name(device: torch.device) -> str:
    """``cpu``, or what the accelerator is called."""
    import torch

    return torch.cuda.get_device_name(device) if device.type == "cuda" else "cpu"


def version_of(environment: Mapping[str, Any], package: str) -> str | None:
    """The version of ``package`` in what :func:`describe` gave somebody; in a stranger's record it may be
    anything."""
    packages = environment.get("packages")
    return str(packages[package]) if isinstance(packages, Mapping) and package in packages else None


def _version(name: str) -> str | None:
    try:
        return version(name)
    except PackageNotFoundError:
        return None


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
        return next(line.split(":", 1)[1].strip() for line in lines if line.startswith("model name"))
    except (OSError, StopIteration):
        return platform.processor()


def _git() -> dict[str, Any] | None:
    """Commit of the checkout fedbench runs from, if it is one, and whether its code is that of the commit:
    records and their tables are no code."""
    home = Path(__file__).resolve().parent.parent
    if not (home / ".git").exists():
        return None

    def git(*arguments: str) -> str:
        command = ["git", "-C", str(home), *arguments]
        return subprocess.run(command, capture_output=True, text=True, check=True, timeout=10).stdout.strip()

    try:
        return {"commit": git("rev-parse", "HEAD"), "clean": not git("status", "--porcelain", "--", *CODE)}
    except (OSError, subprocess.SubprocessError):
        return None
