"""Board files: which runs compete, on what, under which rules. TOML, validated."""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from fedbench.api.options import first_problem, message
from fedbench.api.scenario import Budget
from fedbench.api.specs import Track
from fedbench.catalog import Catalog
from fedbench.errors import UsageError
from fedbench.results.anchors import Anchors

Seed = Annotated[int, Field(ge=0)]


class BoardModel(BaseModel):
    """A part of a board file: frozen, and refusing unknown keys, infinity and NaN."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


class Published(BoardModel):
    """A paper's own table, not run here."""

    title: str = Field(description="what the table is about")
    source: str = Field(description="the paper, with its arXiv number")
    columns: tuple[str, ...] = Field(min_length=1, description="names of the figures' columns")
    rows: dict[str, tuple[float | None, ...]] = Field(
        description="the paper's name of a method: its figure in each column"
    )
    scenario: str | None = Field(None, description="the board's scenario that stands for the paper's setting")

    @model_validator(mode="after")
    def _rows_fit(self) -> Published:
        if len({"method", *self.columns}) <= len(self.columns):
            raise ValueError("each column needs a name of its own, and 'method' is one")
        for name, figures in self.rows.items():
            if len(figures) != len(self.columns):
                raise ValueError(f"{name!r} has {len(figures)} figures for {len(self.columns)} columns")
        return self


class Board(BoardModel):
    """A board file.

    Under the rules ``default`` a row is one option set, the same on every scenario. Under the rules
    ``tuned`` a row is a method, on every scenario with the best of its option sets within ``space``.
    """

    name: str = Field(pattern=r"^[a-z0-9][a-z0-9-]*$", description="the file's name without its ending")
    title: str = Field(description="the heading of its pages")
    summary: str = Field(description="what the board compares, in a sentence")
    track: Track = Field(description="of all its scenarios")
    scenarios: tuple[str, ...] = Field((), description="names, or name@version to insist on a version")
    methods: tuple[str, ...] = Field(
        (), description="those that `leaderboard run` runs beside the anchors; all of the track when absent"
    )
    without: dict[str, tuple[str, ...]] = Field(
        {}, description="method: the scenarios that it can't be run on, which `leaderboard run` passes over"
    )
    primary: str | None = Field(None, description="measure to rank by; each scenario's own when absent")
    rules: Literal["default", "tuned"] = Field("default", description="what makes a row, see above")
    space: dict[str, dict[str, tuple[Any, ...]]] = Field(
        {}, description="method → option → values that may be tried under the rules `tuned`"
    )
    most_trials: int = Field(20, ge=1, description="option sets that a method may try on a scenario")
    seeds: tuple[Seed, ...] = Field(
        (0, 1, 2, 3, 4), min_length=1, description="count in this order and without a gap"
    )
    least_seeds: int = Field(3, ge=2, description="seeds that the anchors need before any entry is ranked")
    budget: Budget = Field(Budget(), description="runs beyond it do not count")
    hardware: Literal["any", "cpu", "cuda"] = Field("any", description="runs on other devices do not count")
    anchors: Anchors | None = Field(None, description="instead of the track's")
    published: tuple[Published, ...] = Field((), description="papers' own tables")
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
        if unknown := {name for excluded in self.without.values() for name in excluded} - set(names):
            raise ValueError(f"without names {min(unknown)!r}, not one of its scenarios")
        others = {table.scenario for table in self.published if table.scenario} - set(self.scenarios)
        if others:
            raise ValueError(f"published figures stand beside {min(others)!r}, not one of its scenarios")
        return self


def load_board(path: Path) -> Board:
    """Read and check a board file."""
    try:
        values = tomllib.loads(path.read_text(encoding="utf-8-sig"))
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
    """Look up the installed board ``name``; one ending in ``.toml`` is a file of the user's own."""
    return load_board(Path(name) if name.endswith(".toml") else catalog.leaderboards[name].spec.path)
