"""Does a record agree with itself and with its scenario? Arithmetic only: nothing is run, nothing is trusted.

Whether a number that fits all the others was really measured takes a replay.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

from fedbench.api.scenario import Scenario
from fedbench.results.anchors import ANCHORS
from fedbench.results.queried import queries_gold
from fedbench.results.records import Record
from fedbench.verification.bookkeeping import clock, parts, totals
from fedbench.verification.measures import client_measures, client_spread, repeated_parameters, suites, values
from fedbench.verification.parameter_rounds import parameter_rounds
from fedbench.verification.planned_rounds import population
from fedbench.verification.reward_rounds import reward_rounds, rewards_travelled

Check = Callable[[Record, Scenario], Iterator[str]]
"""Yields a line for everything that it refuses in a record of the scenario."""

EVERY_RECORD: Sequence[Check] = (
    totals,
    clock,
    parts,
    values,
    suites,
    client_spread,
    client_measures,
    repeated_parameters,
)
"""The checks that records of all tracks share."""

MOST_DRAWS = 10_000_000
"""Most clients' turns (rounds × clients × steps a round) that are drawn again; scenarios have far fewer."""


def inconsistencies(record: Record, scenario: Scenario, *, is_ceiling: bool) -> Iterator[str]:
    """What does not add up in ``record``; ``scenario`` is its scenario with the record's changes.

    ``is_ceiling`` says whether the record is of the installed method that is its track's upper bound, which
    alone may pool the clients' data or query the true reward.
    """
    if misnumbered := list(_round_numbers(record, scenario)):
        yield from misnumbered  # the other checks rely on the rounds' numbers
        return
    if not is_ceiling:
        yield from _privileges(record, scenario)
    for check in EVERY_RECORD:
        yield from check(record, scenario)
    # On the preference track parameters travel, too, where clients train the policy.
    check = reward_rounds if rewards_travelled(record) else parameter_rounds
    yield from check(record, scenario)


def _round_numbers(record: Record, scenario: Scenario) -> Iterator[str]:
    """Refuses rounds that are missing, too many or misnumbered, and a plan too large to draw again."""
    numbers, rounds = [entry.round for entry in record.rounds], scenario.federation.rounds
    steps = scenario.policy.steps if scenario.policy else 1
    if rounds * scenario.federation.clients * steps > MOST_DRAWS:
        yield f"it is too large to check: {rounds} rounds of {scenario.federation.clients} clients"
    elif not numbers or numbers != list(range(len(numbers))):
        yield "its rounds are not numbered from 0 on"
    elif len(numbers) > rounds + 1:
        yield f"it has {len(numbers) - 1} rounds, its scenario {rounds}"
    elif len(numbers) <= rounds and not (record.stopped and scenario.budget.model_dump(exclude_none=True)):
        yield f"it has {len(numbers) - 1} of {rounds} rounds, and no budget ended it"
    elif len(numbers) == rounds + 1 and record.stopped:
        yield "it says that a budget ended it, but no round is missing"


def _privileges(record: Record, scenario: Scenario) -> Iterator[str]:
    """Refuses a method that does what only the track's upper bound may."""
    privilege = ""
    if rewards_travelled(record):
        privilege = "it asks for the true reward" if queries_gold(record) else ""
    elif population(record, scenario).kind == "pooled" and len(record.data.client_examples) > 1:
        privilege = "it trains on all clients' data in one place"
    if privilege:
        yield f"{privilege}, which is for the installed {ANCHORS[record.scenario.track].ceiling} only"
