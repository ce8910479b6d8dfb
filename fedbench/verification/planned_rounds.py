"""The rounds that a scenario and a seed imply, computed again from the schedule's named random streams.

Cohorts, the examples that each client sees, drop-outs, latecomers and attackers follow from scenario and
seed, so whatever a record says of them can be checked.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

from fedbench.api.scenario import Scenario
from fedbench.federation.schedule import (
    NO_FAULTS,
    FaultDraws,
    LeftOut,
    Pace,
    cohort,
    phase_spans,
    turns,
)
from fedbench.results.records import Record, RoundEntry

CORRUPTIONS_NOT_FINITE = {"nan", "inf"}
"""Kinds of corrupted updates that no server uses."""


@dataclass(frozen=True)
class Population:
    """Who can be called in a run: the scenario's clients, one place with all data, or nobody."""

    kind: Literal["clients", "pooled", "nobody"]
    examples: tuple[int, ...]
    """Training examples of each client, all passes together."""


@dataclass(frozen=True)
class PlannedRound:
    """What scenario and seed say of one round."""

    cohort: list[int]
    """The clients that are called, ascending."""
    workers: list[int]
    """Those of the cohort that train."""
    examples: int
    """Training examples that the workers see, each as often as the method's phases say."""
    left_out: dict[str, str]
    """Why a client's update is not used, by client."""
    came_late: list[int]
    """Clients whose update of the round before is used."""
    attackers: list[int]
    """Byzantine clients among the workers."""


def population(record: Record, scenario: Scenario) -> Population:
    """The population whose cohorts the record shows; the scenario's clients if none fits."""
    passes = scenario.rewards.epochs if scenario.rewards else 1
    examples = tuple(passes * size for size in record.data.client_examples)
    clients = Population(kind="clients", examples=examples)
    pooled = Population(kind="pooled", examples=(sum(examples),))
    candidates = (clients, pooled, Population(kind="nobody", examples=()))
    return next((each for each in candidates if _calls(each, record, scenario)), clients)


def _calls(population: Population, record: Record, scenario: Scenario) -> bool:
    """Whether every cohort of the record is the one drawn from ``population``."""
    clients, size = len(population.examples), scenario.federation.cohort
    return all(e.cohort == list(cohort(record.seed, e.round, clients, size)) for e in record.rounds[1:])


def parameters_travelled(record: Record) -> bool:
    """Whether clients were given parameters, so that faults could strike their updates."""
    return record.costs.downlink_bytes > 0


def planned_rounds(record: Record, scenario: Scenario) -> Iterator[PlannedRound]:
    """The rounds from 1 on, as many as the record has.

    Which updates were not finite only a run shows: that is taken from the record where it is possible.
    """
    sizes = population(record, scenario).examples
    federation, seed, clients = scenario.federation, record.seed, len(sizes)
    faults = scenario.faults if scenario.faults and parameters_travelled(record) else NO_FAULTS
    draws = FaultDraws(faults, seed, clients)
    waits = draws.spec.late == "next-round"
    late: list[int] = []
    shares, at_end = _shares(record)
    batch_size = scenario.training.batch_size
    pace = Pace.of(federation, batch_size, record.data.client_examples, clients)
    for entry in record.rounds[1:]:
        number = entry.round
        called = list(cohort(seed, number, clients, federation.cohort))
        rounds_of = {k: turns(seed, k, clients, federation.cohort, federation.rounds) for k in called}
        examples = {k: _examples_in_round(pace, k, sizes[k], number, rounds_of[k]) for k in called}
        left_out = {client: LeftOut.NO_EXAMPLES for client in called if not examples[client]}
        left_out |= dict.fromkeys(draws.dropped(number, called), LeftOut.DROPPED_OUT)
        left_out |= {client: LeftOut.STILL_BUSY for client in late if client in called}
        workers = [client for client in called if client not in left_out]
        came_late = late
        behind = draws.late(number, workers)
        left_out |= dict.fromkeys(behind, LeftOut.LATE_FOR_NEXT if waits else LeftOut.LATE)
        unusable = _not_finite(entry, workers, draws.corrupted(number, workers))
        left_out |= dict.fromkeys(unusable, LeftOut.NOT_FINITE)
        late = [client for client in workers if client in behind - unusable] if waits else []
        yield PlannedRound(
            cohort=called,
            workers=workers,
            examples=sum(_seen(examples[client], batch_size, shares) for client in workers)
            + sum(_seen(size, batch_size, at_end) for size in sizes if entry is record.rounds[-1]),
            left_out={str(client): why for client, why in sorted(left_out.items())},
            came_late=came_late,
            attackers=sorted(draws.byzantine & set(workers)),
        )


def _examples_in_round(pace: Pace, client: int, size: int, number: int, rounds: Sequence[int]) -> int:
    """How many examples a client that holds ``size`` trains on in round ``number``, one of its ``rounds``."""
    return pace.sizes(client, size, len(rounds)).at(bisect_left(rounds, number))


def _shares(record: Record) -> tuple[Sequence[float], Sequence[float]]:
    """The phases' shares of a round's examples, and of every client's after the last round."""
    contract = record.contract
    return (contract.shares, contract.shares_at_end) if contract else ((1.0,), ())


def _seen(examples: int, batch_size: int, shares: Sequence[float]) -> int:
    """How many examples phases of these ``shares`` see together of so many."""
    return sum(end - begin for begin, end in phase_spans(examples, batch_size, shares))


def _not_finite(entry: RoundEntry, workers: Sequence[int], corrupted: dict[int, str]) -> set[int]:
    """Workers whose update was not finite: corrupted so, or diverged as the record says."""
    diverged = {client for client in workers if entry.left_out.get(str(client)) == LeftOut.NOT_FINITE}
    return diverged | {client for client, kind in corrupted.items() if kind in CORRUPTIONS_NOT_FINITE}
