"""Names of runs and folders of their records: the same on every machine."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import PurePosixPath
from typing import Any

from fedbench.fingerprint import sha256_json


def run_id(fingerprint: str, method: str, plugin: str, options: Mapping[str, Any], seed: int) -> str:
    """Hash what was asked for: scenario (by its fingerprint), method, options and seed."""
    return sha256_json(
        {
            "scenario": fingerprint,
            "method": method,
            "provider": plugin,
            "options": dict(options),
            "seed": seed,
        }
    )


def method_label(method: str, plugin: str, distribution: str) -> str:
    """Name the method's folder: the method, with its plugin unless that has the same name or is one of
    fedbench's own."""
    own = distribution.startswith("fedbench-") or plugin == method
    return method if own else f"{method}@{plugin}"


def run_folder(
    scenario: str, label: str, seed: int, *, changed: str = "", options: Mapping[str, Any] | None = None
) -> PurePosixPath:
    """Name the run's folder, ``scenario@version/method/seed-N``.

    A hash marks what is not as published: ``changed``, the fingerprint of a changed scenario, and
    ``options``, those of a method that does not run with its defaults.
    """
    if changed:
        scenario += f"+{changed[:8]}"
    if options:
        label += f"+{sha256_json(dict(options))[:8]}"
    return PurePosixPath(scenario, label, f"seed-{seed}")
