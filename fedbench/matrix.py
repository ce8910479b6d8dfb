"""A matrix of runs: what is asked for, its jobs; and what came of it."""

from __future__ import annotations

import operator
import os
import tempfile
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, overload

from fedbench.api.scenario import Scenario
from fedbench.catalog import Catalog
from fedbench.errors import FedbenchError, UsageError
from fedbench.jobs import Job, plan_jobs
from fedbench.results.records import Record

ScenarioLike = str | Path | Scenario
"""A scenario's name, the path of its ``.toml`` file, or the scenario itself."""

PROBE = 1_000_000
"""Bytes that must find room in the output folder before anything is loaded."""

MOST_SEED = 2**63 - 1
"""Largest seed: exports keep it in 64 bits."""

USUAL = {"alignment": "emoji-ii", "preference": "prefs-emoji-tasks"}
"""The scenario that is run when none is named, by the first method's track."""


@dataclass(frozen=True)
class MatrixRequest:
    """Methods × scenarios × seeds as they were asked for, before names and options are looked up."""

    methods: tuple[str, ...]
    """Names, or ``provider/name``."""
    scenarios: tuple[ScenarioLike, ...]
    """At least one."""
    seeds: tuple[int, ...]
    """Whole numbers from 0."""
    options: Mapping[str, Any]
    """Method options; ``"method.key"`` is one method's, ``"key"`` every method's."""
    changes: Mapping[str, Any]
    """Values of the scenarios to change, by dotted path."""

    @classmethod
    def of(
        cls,
        catalog: Catalog,
        *,
        methods: str | Iterable[str],
        scenarios: ScenarioLike | Iterable[ScenarioLike],
        seeds: int | Iterable[int],
        options: Mapping[str, Any] | None,
        changes: Mapping[str, Any] | None,
    ) -> MatrixRequest:
        """Make a request of one value or several each; without a scenario, the first method's usual one."""
        names = (methods,) if isinstance(methods, str) else tuple(methods)
        several = (scenarios,) if isinstance(scenarios, str | Path | Scenario) else tuple(scenarios)
        return cls(
            methods=names,
            scenarios=several or (_usual_scenario(catalog, names),),
            seeds=tuple(map(_seed, seeds if isinstance(seeds, Iterable) else (seeds,))),
            options=options or {},
            changes=changes or {},
        )

    def plan(self, catalog: Catalog, output: Path) -> list[Job]:
        """The jobs, with every name and value checked and the folder ``output`` writable."""
        jobs = plan_jobs(
            catalog,
            methods=self.methods,
            scenarios=self.scenarios,
            seeds=self.seeds,
            options=self.options,
            changes=self.changes,
            output=output,
        )
        _check_writable(output)
        return jobs


@dataclass(frozen=True)
class MatrixResult(Sequence[Record]):
    """The completed records of a matrix, in its order; a sequence of :class:`Record`.

    >>> import fedbench
    >>> fedbench.MatrixResult(records=(), paths=())
    <MatrixResult: 0 records>
    """

    records: tuple[Record, ...]
    """One for each run that is completed, whether it was run now or before."""

    paths: tuple[Path, ...]
    """The files of ``records``, in the same order."""

    failures: tuple[FedbenchError, ...] = ()
    """What ended the other runs; each was reported when it happened."""

    profiles: Mapping[Path, Mapping[str, float]] = field(default_factory=dict)
    """By path, of the runs that were made now with ``profile``: seconds by part."""

    @overload
    def __getitem__(self, index: int) -> Record: ...
    @overload
    def __getitem__(self, index: slice) -> Sequence[Record]: ...
    def __getitem__(self, index: int | slice) -> Record | Sequence[Record]:
        """The record (or records) at ``index``."""
        return self.records[index]

    def __len__(self) -> int:
        """How many runs are completed."""
        return len(self.records)

    def __repr__(self) -> str:
        """Count what was run instead of printing every record."""
        failed = f", {len(self.failures)} failed: {self.failures[0]}" if self.failures else ""
        return f"<MatrixResult: {len(self)} records{failed}>"


def _usual_scenario(catalog: Catalog, methods: Sequence[str]) -> str:
    tracks = [catalog.methods[name].spec.track for name in methods]
    return next((USUAL[track] for track in tracks if track in USUAL), USUAL["alignment"])


def _seed(value: int) -> int:
    """A seed as a Python integer, whatever kind of integer it is given as; True is none."""
    try:
        seed = -1 if isinstance(value, bool) else operator.index(value)
    except TypeError:
        seed = -1
    if seed < 0:
        raise UsageError(f"seed {value!r}", why="seeds are whole numbers from 0")
    if seed > MOST_SEED:
        raise UsageError(f"seed {value}", why=f"seeds go up to {MOST_SEED}")
    return seed


def _check_writable(output: Path) -> None:
    """Refuse an output folder that can't be made or written, before anything is loaded."""
    nearest = next(folder for folder in (output, *output.absolute().parents) if os.access(folder, os.F_OK))
    if not nearest.is_dir() or not os.access(nearest, os.W_OK):
        why = "it is not a folder" if not nearest.is_dir() else "no permission"
        raise UsageError(
            "can't write the output folder", where=nearest, why=why, fix="choose another --output"
        )
    try:
        with tempfile.TemporaryFile(dir=nearest) as file:
            file.write(bytes(PROBE))
            file.flush()
    except OSError as error:  # such as a full disk
        raise UsageError(
            "can't write the output folder", where=nearest, why=error.strerror, fix="choose another --output"
        ) from error
