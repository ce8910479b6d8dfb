"""Scenario files: reading one with all that it extends, and naming the file and line that is wrong."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from fedbench.api.options import first_problem
from fedbench.api.scenario import Scenario, problem_of
from fedbench.catalog import Catalog
from fedbench.errors import UsageError
from fedbench.inheritance import ScenarioFile, lineage, whole


def load_scenario(
    path: Path, changes: Mapping[str, Any] | None = None, *, catalog: Catalog | None = None
) -> Scenario:
    """Read and check a scenario file; :class:`UsageError` names the line that is wrong.

    ``changes`` maps dotted paths to values, as ``--set`` does; a record of a changed scenario has no place on
    a board, unless only ``files`` are named: a path there begins in the working folder. A scenario that it
    ``extends`` by name is looked up in ``catalog``, which is what the installed plugins register when absent.

    >>> from pathlib import Path
    >>> from fedbench import load_scenario
    >>> load_scenario(Path("nowhere/hospitals.toml"))
    Traceback (most recent call last):
    fedbench.errors.UsageError: can't read the scenario in nowhere/hospitals.toml: No such file or directory
    """
    files = lineage(path, catalog)
    values = {"name": path.stem} | whole(files)
    try:
        scenario = Scenario.of_values(values, path.parent)
    except ValidationError as error:
        raise _explain(error, files) from error
    if scenario.name != path.stem:
        raise UsageError(
            f"the scenario is called {scenario.name!r}",
            where=files[0].place("name"),
            why="its name must be the file's",
        )
    return scenario.changed(changes) if changes else scenario


def _explain(error: ValidationError, files: Sequence[ScenarioFile]) -> UsageError:
    """Say what is wrong, in the file that says the most of it; the child's where that is not one alone."""
    what, why, fix = problem_of(error)
    location = [str(part) for part in first_problem(error)["loc"]]
    blamed = max(files, key=lambda file: file.nearest(location)[0])
    return UsageError(what, where=blamed.place(*location), why=why, fix=fix)
