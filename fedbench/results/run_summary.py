"""A run as tables and boards see it: what they need of a record, small enough to hold thousands."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from fedbench.api.metrics import Costs, Measure
from fedbench.errors import UsageError
from fedbench.fingerprint import canonical_json
from fedbench.results.curves import Curve, drawn
from fedbench.results.own_part import final_scores, personalised, round_scores
from fedbench.results.queried import queries_gold
from fedbench.results.records import MethodInfo, Record, ScenarioInfo, Spread, Status
from fedbench.results.settings import Setting, completed_settings, setting_of


@dataclass(frozen=True, slots=True)
class RunSummary:
    """What tables and boards need of a record: small enough to hold thousands."""

    id: str
    """The record's id."""
    path: Path | None
    """The file it was read from; None for a record given as an object."""
    status: Status
    """``completed``, ``cancelled`` or ``failed``."""
    scenario: ScenarioInfo
    """The scenario."""
    method: MethodInfo
    """The method and its options."""
    setting: Setting
    """Scenario, content and arithmetic: runs are compared where they share it."""
    contender: tuple[str, str, str]
    """Method, plugin and options as canonical JSON: what is compared over seeds."""
    seed: int
    """The seed."""
    primary: str
    """The scenario's primary measure, ``split/suite/value``."""
    measures: Mapping[str, Measure]
    """The measures at the end, by name, those of :mod:`fedbench.results.own_part` included."""
    start: Mapping[str, float]
    """Round 0's values, by the measure's name."""
    curves: Mapping[str, Curve]
    """The measures taken after every round from round 0, by name."""
    personalised: bool
    """Whether every client was scored by a model of its own; ``primary`` is then about own test parts."""
    privileged: bool
    """Whether it asked for the true reward."""
    clients: Mapping[str, float]
    """Each client's primary measure at the end."""
    spread: Spread | None
    """The primary measure over the clients at the end."""
    costs: Costs
    """What the whole run cost."""
    seconds: float
    """Wall time."""
    finished: str
    """When the record was written."""
    device: str
    """The device that it ran on."""
    command: tuple[str, ...] = ()
    """The command line."""
    environment: Mapping[str, Any] = field(default_factory=dict)
    """The machine and the versions of packages."""
    left_out: Mapping[str, int] = field(default_factory=dict)
    """How often a client's work was missing, by reason."""

    @property
    def title(self) -> str:
        """``name@version`` of the scenario."""
        return f"{self.scenario.name}@{self.scenario.version}"

    def measure(self, name: str) -> Measure:
        """Look up the measure at the end; :class:`UsageError` if there is none of this name."""
        if name not in self.measures:
            raise UsageError(
                f"a record of {self.method.name!r} on {self.scenario.name!r} has no metric {name!r}",
                fix=f"it has: {', '.join(self.measures)}",
            )
        return self.measures[name]


def aligned(runs: Iterable[RunSummary]) -> list[RunSummary]:
    """The runs, those without content hashes with the hashes of others of the same names."""
    everything = list(runs)
    return with_settings(everything, completed_settings(run.setting for run in everything))


def with_settings(runs: Iterable[RunSummary], settings: Mapping[Setting, Setting]) -> list[RunSummary]:
    """The runs, each with the setting that ``settings`` has for its own."""
    return [replace(run, setting=settings[run.setting]) for run in runs]


def contender(method: MethodInfo) -> tuple[str, str, str]:
    """Identify the contender: method, plugin and options; runs that share them differ by scenario and
    seed."""
    return method.name, method.provider.plugin, canonical_json(method.options)


def run_of(record: Record, path: Path | None = None) -> RunSummary:
    """Summarise ``record``, which was read from ``path``."""
    rounds, last = round_scores(record), record.rounds[-1] if record.rounds else None
    return RunSummary(
        id=record.record_id,
        path=path,
        status=record.status,
        scenario=record.scenario,
        method=record.method,
        setting=setting_of(record),
        contender=contender(record.method),
        seed=record.seed,
        primary=record.primary,
        measures=final_scores(record),
        start={name: measure.value for name, measure in rounds[0].items()} if rounds else {},
        curves=drawn(record, rounds),
        personalised=personalised(record),
        privileged=queries_gold(record),
        clients={client: measure.value for client, measure in last.clients.items()} if last else {},
        spread=record.spread,
        costs=record.costs,
        seconds=record.wall_seconds,
        finished=record.finished,
        device=str(record.environment.get("device", "unknown")),
        command=tuple(record.command),
        environment=record.environment,
        left_out=record.left_out,
    )


def unusual(options: Mapping[str, Any], usual: Mapping[str, Any]) -> str:
    """Print the options that differ from the ``usual`` ones, as they are given on the command line."""
    return " ".join(f"{key}={value}" for key, value in options.items() if usual.get(key, ...) != value)
