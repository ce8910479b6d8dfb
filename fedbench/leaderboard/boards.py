"""Boards: which runs compete, on what, under which rules. A TOML file, validated."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from fedbench.api.options import first_problem, message
from fedbench.api.scenario import Budget, load_scenario
from fedbench.api.specs import MethodSpec, Track
from fedbench.catalog import Catalog, Entry
from fedbench.errors import FedbenchError, UsageError
from fedbench.fingerprint import canonical_json
from fedbench.results.anchors import ANCHORS, Anchors

Seed = Annotated[int, Field(ge=0)]


class Section(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


class Published(Section):
    """A paper's own table, not run here: ``rows`` maps the paper's names of methods to a figure for each
    of ``columns``. ``scenario`` is ours that stands for the paper's setting, if there is one."""

    title: str
    source: str
    columns: tuple[str, ...] = Field(min_length=1)
    rows: dict[str, tuple[float | None, ...]]
    scenario: str | None = None

    @model_validator(mode="after")
    def _rows_fit(self) -> Published:
        if len({"method", *self.columns}) <= len(self.columns):
            raise ValueError("each column needs a name of its own, and 'method' is one")
        for name, figures in self.rows.items():
            if len(figures) != len(self.columns):
                raise ValueError(f"{name!r} has {len(figures)} figures for {len(self.columns)} columns")
        return self


class Board(Section):
    """A board file. ``scenarios`` are names, or ``name@version`` to insist on a version.

    ``seeds`` count in their order and without a gap, at least ``least_seeds`` of them, so that nobody
    chooses his own. Rules ``default``: a row is one option set, the same on every scenario. Rules ``tuned``:
    a row is a method, on every scenario with its best option set out of ``space`` (method → option →
    values), at most ``most_trials`` of them tried. Runs beyond ``budget`` don't count.
    """

    name: str = Field(pattern=r"^[a-z0-9][a-z0-9-]*$")
    title: str
    summary: str
    track: Track
    scenarios: tuple[str, ...] = ()
    primary: str | None = Field(None, description="measure to rank by; each scenario's own when absent")
    rules: Literal["default", "tuned"] = "default"
    space: dict[str, dict[str, tuple[Any, ...]]] = {}
    most_trials: int = Field(20, ge=1)
    seeds: tuple[Seed, ...] = Field((0, 1, 2, 3, 4), min_length=1)
    least_seeds: int = Field(3, ge=2)
    budget: Budget = Budget()
    hardware: Literal["any", "cpu", "cuda"] = "any"
    anchors: Anchors | None = Field(None, description="instead of the track's")
    published: tuple[Published, ...] = ()
    ours: dict[str, str] = Field({}, description="a paper's name of a method: ours")

    @model_validator(mode="after")
    def _sound(self) -> Board:
        names = tuple(name.partition("@")[0] for name in self.scenarios)
        values: tuple[Any, ...]
        for what, values in (("scenarios", names), ("seeds", self.seeds)):
            if len(set(values)) < len(values):
                raise ValueError(f"{what} names one twice")
        if len(self.seeds) < self.least_seeds:
            raise ValueError(f"{len(self.seeds)} seeds are fewer than least_seeds {self.least_seeds}")
        if self.space and self.rules != "tuned":
            raise ValueError("space says nothing without rules = 'tuned'")
        if not self.scenarios and not self.published:
            raise ValueError("a board needs scenarios or published figures")
        strangers = {table.scenario for table in self.published if table.scenario} - set(self.scenarios)
        if strangers:
            raise ValueError(f"published figures stand beside {min(strangers)!r}, not one of its scenarios")
        return self


def load_board(path: Path) -> Board:
    """Read and check a board file."""
    try:
        values = tomllib.loads(path.read_text(encoding="utf-8"))
        board = Board.model_validate(values)
    except OSError as error:
        raise UsageError("can't read the board", where=path, why=error.strerror or error) from error
    except (UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise UsageError("the board is not valid TOML", where=path, why=error) from error
    except ValidationError as error:
        problem = first_problem(error)
        dotted = ".".join(map(str, problem["loc"])) or "the whole"
        raise UsageError("not a board", where=path, why=f"{dotted}: {message(problem)}") from error
    if board.name != path.stem:
        raise UsageError(f"the board is called {board.name!r}", where=path, why="its name must be the file's")
    return board


def find_board(name: str, catalog: Catalog) -> Board:
    """The installed board called ``name``, or the file of the user's own if it ends in ``.toml``."""
    return load_board(Path(name) if name.endswith(".toml") else catalog.leaderboards[name].spec.path)


@dataclass(frozen=True)
class BoardScenario:
    """A scenario of a board as it is installed here; ``problem`` says why nobody can run it."""

    name: str
    title: str
    summary: str = ""
    fingerprint: str = ""
    metric: str = ""
    problem: str = ""


@dataclass(frozen=True)
class InstalledMethod:
    """A method that is installed here: who provides it, what it does, its default options."""

    name: str
    plugin: str
    distribution: str
    version: str
    summary: str
    paper: str
    defaults: Mapping[str, Any]


@dataclass(frozen=True)
class Contest:
    """A board and what is installed here of all that it names. ``methods`` is by name and plugin."""

    board: Board
    anchors: Anchors
    scenarios: tuple[BoardScenario, ...]
    methods: Mapping[tuple[str, str], InstalledMethod]

    @cached_property
    def anchor_contenders(self) -> Mapping[str, tuple[str, str, str] | None]:
        """Whose runs are each anchor (see ``Run.contender``): the installed method's of this name, with its
        default options; None if no plugin or more than one provides it."""
        found: dict[str, tuple[str, str, str] | None] = {}
        for name in dict.fromkeys(self.anchors.all):
            providers = [method for method in self.methods.values() if method.name == name]
            only = providers[0] if len(providers) == 1 else None
            found[name] = (name, only.plugin, canonical_json(only.defaults)) if only else None
        return found


def open_board(board: Board, catalog: Catalog) -> Contest:
    """Look up everything that ``board`` names."""
    return Contest(
        board=board,
        anchors=board.anchors or ANCHORS[board.track],
        scenarios=tuple(_scenario(name, board, catalog) for name in board.scenarios),
        methods=installed_methods(catalog),
    )


def installed_methods(catalog: Catalog) -> Mapping[tuple[str, str], InstalledMethod]:
    """By name and plugin."""
    methods = [_method(entry) for entry in catalog.methods.entries]
    return {(method.name, method.plugin): method for method in methods if method}


def _scenario(name: str, board: Board, catalog: Catalog) -> BoardScenario:
    short, _, version = name.partition("@")
    if short not in {entry.name for entry in catalog.scenarios.entries}:
        return BoardScenario(short, name, problem="it is not installed here")
    try:
        scenario = load_scenario(catalog.scenarios[short].spec.path)
    except UsageError as error:
        return BoardScenario(short, name, problem=str(error))
    problem = ""
    if version and version != str(scenario.version):
        problem = f"version {scenario.version} is installed, the board is about {name}"
    elif scenario.track != board.track:
        problem = f"it is of the {scenario.track} track"
    return BoardScenario(
        name=short,
        title=scenario.title,
        summary=scenario.summary,
        fingerprint=scenario.fingerprint,
        metric=board.primary or scenario.evaluation.primary,
        problem=problem,
    )


def _method(entry: Entry[MethodSpec]) -> InstalledMethod | None:
    """None for a method whose options can't be told, because its plugin is broken or some are required."""
    try:
        defaults = entry.options().model_dump(mode="json")
    except (FedbenchError, ValidationError):
        return None
    plugin, spec = entry.plugin, entry.spec
    return InstalledMethod(
        spec.name, plugin.name, plugin.distribution, plugin.version, spec.summary, spec.paper, defaults
    )
