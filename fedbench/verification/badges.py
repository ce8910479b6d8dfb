"""Badges: which records were replayed or reproduced, in a file beside the records.

Those who keep the boards keep the file. ``consistent`` is not noted, since every build checks it anew. A
badge goes by the record's id, the hash of its content, so it can't pass to another record.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from fedbench.errors import UsageError
from fedbench.files import write_atomic
from fedbench.results.parsing import NotJson, parse, read_bytes
from fedbench.verification.ladder import Level, Verdict

BADGES = "verified.json"
"""Name of the file."""


def badges_beside(paths: Sequence[Path]) -> Path:
    """The file of badges of one folder of records; :class:`UsageError` if ``paths`` is anything else."""
    if len(paths) != 1 or not paths[0].is_dir():
        raise UsageError("badges lie beside a folder of records", fix="name that folder, and nothing else")
    return paths[0].parent / BADGES


def read_badges(path: Path) -> dict[str, Level]:
    """Levels by record id; empty if there is no such file."""
    if not path.exists():
        return {}
    try:
        return {key: Level[name] for key, name in parse(read_bytes(path)).items()}
    except (NotJson, KeyError, TypeError) as error:
        raise UsageError("not a file of badges", where=path, why=error) from error


def add_badges(path: Path, verdicts: Iterable[Verdict]) -> int:
    """Note what was replayed or reproduced; return how many badges are new or higher."""
    badges = read_badges(path)
    earned = {v.run.id: v.level for v in verdicts if v.run is not None and v.level > Level.consistent}
    new = {key: level for key, level in earned.items() if level > badges.get(key, Level.unverified)}
    if new:
        named = {key: level.name for key, level in sorted((badges | new).items())}
        write_atomic(path, json.dumps(named, indent=0) + "\n")
    return len(new)


def levels(verdicts: Iterable[Verdict], badges: Mapping[str, Level]) -> dict[str, Level]:
    """The highest level known of each record, by id. A badge counts only for a consistent record."""
    highest: dict[str, Level] = {}
    for verdict in verdicts:
        if (run := verdict.run) is not None:
            consistent = verdict.level >= Level.consistent
            level = max(verdict.level, badges.get(run.id, verdict.level)) if consistent else verdict.level
            highest[run.id] = max(level, highest.get(run.id, level))
    return highest
