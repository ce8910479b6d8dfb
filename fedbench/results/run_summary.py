"""A run as tables and boards see it: what they need of a record, small enough to hold thousands."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from fedbench.api.metrics import Costs, Measure
from fedbench.errors import UsageError
from fedbench.fingerprint import canonical_json
from fedbench.results.curves import Curve, curve
from fedbench.results.records import MethodInfo, Record, ScenarioInfo, Spread, Status


@dataclass(frozen=True, slots=True)
class RunSummary:
    """``contender`` says who ran. ``measures`` are those at the end; ``curves`` those taken after every
    round, from round 0; ``start`` is round 0's. ``clients`` is each client's primary measure at the end."""

    id: str
    path: Path | None
    status: Status
    scenario: ScenarioInfo
    method: MethodInfo
    contender: tuple[str, str, str]
    seed: int
    primary: str
    measures: Mapping[str, Measure]
    start: Mapping[str, float]
    curves: Mapping[str, Curve]
    clients: Mapping[str, float]
    spread: Spread | None
    costs: Costs
    seconds: float
    finished: str
    device: str
    command: tuple[str, ...] = ()
    environment: Mapping[str, Any] = field(default_factory=dict)
    left_out: Mapping[str, int] = field(default_factory=dict)

    @property
    def title(self) -> str:
        """``name@version`` of the scenario."""
        return f"{self.scenario.name}@{self.scenario.version}"

    def measure(self, name: str) -> Measure:
        """The measure at the end; :class:`UsageError` if there is none of this name."""
        if name not in self.measures:
            raise UsageError(
                f"a record of {self.method.name!r} on {self.scenario.name!r} has no metric {name!r}",
                fix=f"it has: {', '.join(self.measures)}",
            )
        return self.measures[name]


def contender(method: MethodInfo) -> tuple[str, str, str]:
    """Who ran: method, plugin and options; runs that share them differ by scenario and seed."""
    return method.name, method.provider.plugin, canonical_json(method.options)


def run_of(record: Record, path: Path | None = None) -> RunSummary:
    """What is kept of ``record``, which was read from ``path``."""
    first, last = (record.rounds[0], record.rounds[-1]) if record.rounds else (None, None)
    names = first.metrics if first else ()
    return RunSummary(
        id=record.record_id,
        path=path,
        status=record.status,
        scenario=record.scenario,
        method=record.method,
        contender=contender(record.method),
        seed=record.seed,
        primary=record.primary,
        measures=(last.metrics if last else {}) | record.final,
        start={name: measure.value for name, measure in first.metrics.items()} if first else {},
        curves={name: found for name in names if (found := curve(record, name)) is not None},
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
    """The options that differ from the usual ones, as they are given on the command line."""
    return " ".join(f"{key}={value}" for key, value in options.items() if usual.get(key, ...) != value)
