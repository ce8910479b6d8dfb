"""The environment of a run: interpreter, platform, package versions, processor, git state."""

from __future__ import annotations

import os
import platform
from collections.abc import Mapping
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fedbench.errors import FedbenchError
from fedbench.git import run_git

if TYPE_CHECKING:
    import torch

PACKAGES = (
    "fedbench-suite",
    "torch",
    "transformers",
    "tokenizers",
    "safetensors",
    "numpy",
    "scipy",
    "pluggy",
    "pydantic",
    "datasets",
    "evaluate",
    "pyarrow",
    "pillow",
)
"""The packages whose versions a record keeps."""

CODE = (".", ":(exclude)leaderboards", ":(exclude)runs")
"""The paths, for git, whose state decides whether a checkout is clean: records and tables are no code."""


def describe() -> dict[str, Any]:
    """Describe this process's environment, JSON-ready; imports nothing heavy and names no path."""
    return {
        "python": platform.python_version(),
        "platform": f"{platform.system()} {platform.machine()}",
        "processor": _processor(),
        "cores": os.cpu_count(),
        "packages": {name: installed for name in PACKAGES if (installed := _version(name))},
        "git": _git(),
    }


def device_name(device: torch.device) -> str:
    """Name a device: ``cpu``, or the accelerator's model."""
    import torch

    return torch.cuda.get_device_name(device) if device.type == "cuda" else "cpu"


def device_class(device: torch.device) -> str:
    """Name what rounds alike: devices of one class give a run the same bits under the same versions.

    A processor's class is its vendor and the instruction set that torch computes with, as in
    ``AuthenticAMD AVX2``: the name of its model doesn't tell a processor with AVX-512 from one without. An
    accelerator's is its model and compute capability, as in ``NVIDIA H100 80GB HBM3 sm_90``.
    """
    import torch

    if device.type == "cuda":
        major, minor = torch.cuda.get_device_capability(device)
        return f"{torch.cuda.get_device_name(device)} sm_{major}{minor}"
    vendor = _cpuinfo("vendor_id", "CPU implementer") or platform.machine()
    return f"{vendor} {torch.backends.cpu.get_cpu_capability()}"


def version_of(environment: Mapping[str, Any], package: str) -> str | None:
    """Read a package's version from a recorded :func:`describe`; None where a foreign record has none."""
    packages = environment.get("packages")
    return str(packages[package]) if isinstance(packages, Mapping) and package in packages else None


def _version(name: str) -> str | None:
    try:
        return version(name)
    except PackageNotFoundError:
        return None


def _processor() -> str:
    return _cpuinfo("model name") or platform.processor()


def _cpuinfo(*fields: str) -> str:
    """Read Linux's first line about the processor that begins with one of ``fields``; empty if none does."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        return ""
    return next((line.split(":", 1)[1].strip() for line in lines if line.startswith(fields)), "")


def _git() -> dict[str, Any] | None:
    """Describe the git checkout that fedbench runs from: its commit and whether its code is unchanged; None
    if it runs from no checkout."""
    home = Path(__file__).resolve().parent.parent
    if not (home / ".git").exists():
        return None

    try:
        commit = run_git(["rev-parse", "HEAD"], folder=home, seconds=10).decode().strip()
        changed = run_git(["status", "--porcelain", "--", *CODE], folder=home, seconds=10)
    except FedbenchError:
        return None
    return {"commit": commit, "clean": not changed.strip()}
