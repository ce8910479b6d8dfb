"""What the engine does in a run, as far as it follows from the scenario and the seed alone. No torch here.

Cohorts, the examples that each client sees, drop-outs, latecomers and attackers are draws of named streams,
so what a record says of them can be computed again.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from fedbench.api.scenario import Scenario
from fedbench.federation.schedule import NO_FAULTS, FaultDraws, cohort, turns
from fedbench.results.records import Record, RoundEntry

BYTES_OF_A_NUMBER = 4
"""A parameter or a reward, on its way."""
NOT_FINITE = "not finite"
DIVERGENT = {"nan", "inf"}


@dataclass(frozen=True)
class PlannedRound:
    """``workers`` train, on ``examples`` in all; ``left_out`` says whose update is not used and why."""

    cohort: list[int]
    workers: list[int]
    examples: int
    left_out: dict[str, str]
    came_late: list[int]
    attackers: list[int]


def populations(record: Record, scenario: Scenario) -> dict[str, list[int]]:
    """Who may take part, as examples per client: the scenario's clients, all data in one place, nobody."""
    passes = scenario.rewards.epochs if scenario.rewards else 1
    sizes = [passes * size for size in record.data.client_examples]
    return {"clients": sizes, "pooled": [sum(sizes)], "nobody": []}


def population(record: Record, scenario: Scenario) -> str:
    """Which of :func:`populations` the record's cohorts are of; the scenario's clients if none fits."""
    size = scenario.federation.cohort
    for name, sizes in populations(record, scenario).items():
        if all(e.cohort == list(cohort(record.seed, e.round, len(sizes), size)) for e in record.rounds[1:]):
            return name
    return "clients"


def communicates(record: Record) -> bool:
    """Whether parameters travelled, so that faults could strike them."""
    return record.costs.downlink_bytes > 0


def planned(record: Record, scenario: Scenario) -> Iterator[PlannedRound]:
    """The rounds from 1 on, as many as the record has. Which updates were not finite only a run can tell:
    that is taken from the record where it is possible."""
    sizes = populations(record, scenario)[population(record, scenario)]
    federation, seed, clients = scenario.federation, record.seed, len(sizes)
    faults = scenario.faults if scenario.faults and communicates(record) else NO_FAULTS
    fault_model = FaultDraws(faults, seed, clients)
    waits = fault_model.spec.late == "next-round"
    late: list[int] = []
    for entry in record.rounds[1:]:
        number = entry.round
        called = list(cohort(seed, number, clients, federation.cohort))
        mine = {k: turns(seed, k, clients, federation.cohort, federation.rounds) for k in called}
        parts = {k: _part(sizes[k], number, mine[k]) for k in called}
        left_out = {client: "no examples" for client in called if not parts[client]}
        left_out |= dict.fromkeys(fault_model.dropped(number, called), "dropped out")
        left_out |= {client: "still at the round before" for client in late if client in called}
        workers = [client for client in called if client not in left_out]
        came_late = late
        behind = fault_model.late(number, workers)
        left_out |= dict.fromkeys(behind, "late, for the next round" if waits else "late")
        rubbish = _not_finite(entry, workers, fault_model.corrupted(number, workers))
        left_out |= dict.fromkeys(rubbish, NOT_FINITE)
        late = [client for client in workers if client in behind - rubbish] if waits else []
        yield PlannedRound(
            cohort=called,
            workers=workers,
            examples=sum(parts[client] for client in workers),
            left_out={str(client): why for client, why in sorted(left_out.items())},
            came_late=came_late,
            attackers=sorted(fault_model.byzantine & set(workers)),
        )


def _part(size: int, number: int, mine: Sequence[int]) -> int:
    """How many of a client's ``size`` examples it sees in round ``number``, one of ``mine``: as
    ``np.array_split`` deals them, the first parts one longer where they don't come out even."""
    each, more = divmod(size, len(mine))
    return each + (mine.index(number) < more)


def _not_finite(entry: RoundEntry, workers: Sequence[int], corrupted: dict[int, str]) -> set[int]:
    """Whose update was not finite: rubbish of that kind, and whoever the record says diverged."""
    diverged = {client for client in workers if entry.left_out.get(str(client)) == NOT_FINITE}
    return diverged | {client for client, kind in corrupted.items() if kind in DIVERGENT}
