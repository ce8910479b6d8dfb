"""A board together with what is installed of it: scenarios, methods, anchors."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from pydantic import ValidationError

from fedbench.api.specs import MethodSpec
from fedbench.catalog import Catalog
from fedbench.errors import FedbenchError, UsageError
from fedbench.fingerprint import canonical_json
from fedbench.leaderboard.boards import Board
from fedbench.registry import Entry
from fedbench.results.anchors import ANCHORS, Anchors, sole_provider
from fedbench.scenario_files import load_scenario


@dataclass(frozen=True)
class BoardScenario:
    """A scenario of a board as it is installed here.

    ``title`` is its ``name@version``, ``metric`` the measure to rank by. ``problem`` says why it can't be
    run here; if there is one, the other fields may be empty.
    """

    name: str
    title: str
    summary: str = ""
    fingerprint: str = ""
    metric: str = ""
    problem: str = ""


@dataclass(frozen=True)
class InstalledMethod:
    """A method that is installed here: who provides it in which version, what it does, its paper and its
    ``defaults``, the options as they are when none is given."""

    name: str
    plugin: str
    distribution: str
    version: str
    summary: str
    paper: str
    defaults: Mapping[str, Any]


@dataclass(frozen=True)
class Contest:
    """A board and what is installed here of all that it names: its anchors' names, its scenarios in their
    order, and every installed method by name and plugin."""

    board: Board
    anchors: Anchors
    scenarios: tuple[BoardScenario, ...]
    methods: Mapping[tuple[str, str], InstalledMethod]

    @cached_property
    def anchor_contenders(self) -> Mapping[str, tuple[str, str, str] | None]:
        """By the anchor's name: the contender (see :attr:`RunSummary.contender`) whose runs are that
        anchor's, which is the installed method of this name with its default options; None unless exactly
        one plugin provides it.
        """
        contenders: dict[str, tuple[str, str, str] | None] = {}
        for name in dict.fromkeys(self.anchors.all):
            plugin = sole_provider(name, self.methods)
            defaults = self.methods[name, plugin].defaults if plugin else {}
            contenders[name] = (name, plugin, canonical_json(defaults)) if plugin else None
        return contenders


def open_board(board: Board, catalog: Catalog) -> Contest:
    """Look up everything that ``board`` names; what is not installed is noted, not raised."""
    return Contest(
        board=board,
        anchors=board.anchors or ANCHORS[board.track],
        scenarios=tuple(_scenario(name, board, catalog) for name in board.scenarios),
        methods=installed_methods(catalog),
    )


def installed_methods(catalog: Catalog) -> Mapping[tuple[str, str], InstalledMethod]:
    """The installed methods whose options are known, by name and plugin."""
    methods = [_method(entry) for entry in catalog.methods.entries]
    return {(method.name, method.plugin): method for method in methods if method}


def _scenario(name: str, board: Board, catalog: Catalog) -> BoardScenario:
    short, _, version = name.partition("@")
    if short not in {entry.name for entry in catalog.scenarios.entries}:
        return BoardScenario(name=short, title=name, problem="it is not installed here")
    try:
        path = catalog.scenarios[short].spec.path
        scenario = catalog.completed(load_scenario(path, catalog=catalog))
    except UsageError as error:
        return BoardScenario(name=short, title=name, problem=str(error))
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
    """The method of ``entry``; None if its options are not known, because its plugin is broken or some are
    required."""
    try:
        defaults = entry.options().model_dump(mode="json")
    except (FedbenchError, ValidationError):
        return None
    plugin, spec = entry.plugin, entry.spec
    return InstalledMethod(
        name=spec.name,
        plugin=plugin.name,
        distribution=plugin.distribution,
        version=plugin.version,
        summary=spec.summary,
        paper=spec.paper,
        defaults=defaults,
    )
