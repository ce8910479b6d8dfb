"""Does a record agree with itself and with its scenario? Arithmetic only: nothing is run, nothing is trusted.

What can't be told this way, and needs a replay, is whether a number that fits all the others was measured.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from datetime import datetime
from functools import reduce
from math import isclose
from statistics import fmean

import numpy as np

from fedbench.api.metrics import Costs, Measure
from fedbench.api.scenario import Scenario
from fedbench.api.specs import Track
from fedbench.results.anchors import ANCHORS
from fedbench.results.records import Record, RoundEntry, Spread
from fedbench.verification.preference import asks_for_the_truth, fuses, policy_rounds
from fedbench.verification.rounds import BYTES_OF_A_NUMBER, PlannedRound, communicates, planned, population
from fedbench.verification.safety import shown

Check = Callable[[Record, Scenario], Iterator[str]]

MOST_DRAWS = 10_000_000
"""Rounds × clients × steps a round, of which everything is drawn again; a scenario has far fewer."""

CLOCK = 2.0
"""Seconds by which moments that are written in whole seconds may be off."""

COUNTED = ("accuracy", "raw_accuracy", "exact_match", "unparsed", "yes_ratio")
"""What the core's metrics get by counting items, so that value × n is a whole number."""

MORE: Mapping[Track, tuple[frozenset[str], frozenset[str]]] = {
    "alignment": (frozenset(), frozenset()),
    "preference": (frozenset({"policy"}), frozenset({"policy", "rewards", "router"})),
}
"""What a track measures beside the scenario's suites: in a round, at the end."""

SHARES = (*COUNTED, "token_accuracy", "f1", "balanced_accuracy")


def inconsistencies(record: Record, scenario: Scenario, *, is_ceiling: bool) -> Iterator[str]:
    """What does not add up in ``record``, whose scenario (with its changes) is ``scenario``. ``is_ceiling``:
    whether it is of the installed anchor that may do what nobody else may."""
    if misnumbered := list(_numbering(record, scenario)):
        yield from misnumbered  # everything else goes by the rounds' numbers
        return
    if not is_ceiling and (privilege := _privilege(record, scenario)):
        yield f"{privilege}, which is for the installed {ANCHORS[record.scenario.track].ceiling} only"
    for check in (*EVERY_TRACK, ONE_TRACK[record.scenario.track]):
        yield from check(record, scenario)


def _privilege(record: Record, scenario: Scenario) -> str:
    """What the record does that only a track's ceiling may; empty if nothing."""
    if fuses(record):
        return "it asks for the true reward" if asks_for_the_truth(record) else ""
    pooled = population(record, scenario) == "pooled" and len(record.data.client_examples) > 1
    return "it trains on all clients' data in one place" if pooled else ""


def _numbering(record: Record, scenario: Scenario) -> Iterator[str]:
    numbers, rounds = [entry.round for entry in record.rounds], scenario.federation.rounds
    steps = scenario.policy.steps if scenario.policy else 1
    if rounds * scenario.federation.clients * steps > MOST_DRAWS:
        yield f"it is too large to check: {rounds} rounds of {scenario.federation.clients} clients"
        return
    if not numbers or numbers != list(range(len(numbers))):
        yield "its rounds are not numbered from 0 on"
    elif len(numbers) > rounds + 1:
        yield f"it has {len(numbers) - 1} rounds, its scenario {rounds}"
    elif len(numbers) <= rounds and not (record.stopped and scenario.budget.model_dump(exclude_none=True)):
        yield f"it has {len(numbers) - 1} of {rounds} rounds, and no budget ended it"
    elif len(numbers) == rounds + 1 and record.stopped:
        yield "it says that a budget ended it, but no round is missing"


def _totals(record: Record, scenario: Scenario) -> Iterator[str]:
    total = reduce(Costs.__add__, (entry.costs for entry in record.rounds), Costs())
    for name, value in vars(record.costs).items():
        if not isclose(value, getattr(total, name), rel_tol=1e-12):
            yield f"costs.{name} is {value:g}, its rounds add up to {getattr(total, name):g}"
    if any(value < 0 for entry in record.rounds for value in vars(entry.costs).values()):
        yield "it has negative costs"


def _clock(record: Record, scenario: Scenario) -> Iterator[str]:
    # What round 0 holds (fitted reward models) may have been done once, in another run, for all runs.
    costs = [entry.costs for entry in record.rounds[1:]]
    spent = sum(cost.client_seconds + cost.server_seconds + cost.evaluation_seconds for cost in costs)
    try:
        began, ended = (datetime.fromisoformat(moment) for moment in (record.started, record.finished))
        took = (ended - began).total_seconds()
    except (ValueError, TypeError) as error:
        yield f"started or finished is not a moment: {error}"
        return
    if record.wall_seconds < spent - 1e-6:
        yield f"wall_seconds is {record.wall_seconds:.1f}, its rounds alone took {spent:.1f}"
    if record.wall_seconds > took + CLOCK:
        yield f"wall_seconds is {record.wall_seconds:.1f}, between start and finish lie {took:.0f}"


def _pins(record: Record, scenario: Scenario) -> Iterator[str]:
    found = {"data": record.data.fingerprint, "backbone": record.data.backbone_fingerprint}
    names = {"data": record.data.name, "backbone": record.data.backbone, "partition": record.data.partition}
    for what, part in scenario.parts.items():
        if names[what] != part.name:
            yield f"its {what} is {names[what]!r}, the scenario's {part.name!r}"
        if part.sha256 and what in found and found[what] != part.sha256:
            yield f"its {what} is not the one that the scenario pins"
    if (
        len(record.data.client_examples) != scenario.federation.clients
        or min(record.data.client_examples) < 0
    ):
        yield f"its clients are not the scenario's {scenario.federation.clients}"
    if record.primary != scenario.evaluation.primary:
        yield f"its primary measure is not the scenario's {scenario.evaluation.primary}"


def _numbers(record: Record, scenario: Scenario) -> Iterator[str]:
    """Every measure is one that could have come out, and one name means the same everywhere."""
    suites = {*scenario.evaluation.each_round, *scenario.evaluation.final}
    kinds: dict[str, tuple[str, str]] = {}
    for where, name, measure in _measures(record):
        if kinds.setdefault(name, (measure.unit, measure.better)) != (measure.unit, measure.better):
            yield f"{where}: {name} has another unit or direction than elsewhere in the record"
        suite, _, value = name.rpartition("/")
        if wrong := _impossible(measure, value if suite in suites else ""):
            yield f"{where}: {name} {wrong}"


def _measures(record: Record) -> Iterator[tuple[str, str, Measure]]:
    for entry in record.rounds:
        where = f"round {entry.round}"
        yield from ((where, name, measure) for name, measure in entry.metrics.items())
        named = record.primary
        yield from ((f"{where}, client {k}", named, measure) for k, measure in entry.clients.items())
    yield from (("at the end", name, measure) for name, measure in record.final.items())
    for control, found in record.controls.items():
        yield from ((f"control {control}", name, measure) for name, measure in found.items())


def _impossible(measure: Measure, value: str) -> str:
    """What is wrong with a measure, ``value`` of a suite's items, whatever was measured; empty if nothing."""
    if measure.n < 1:
        return f"is of {measure.n} items"
    if measure.se is not None and measure.se < 0:
        return f"has the standard error {measure.se:g}"
    if measure.unit != "share" or value not in SHARES:
        return ""
    if not 0 <= measure.value <= 1:
        return f"is {measure.value:g}, not a share"
    hits = measure.value * measure.n
    if value in COUNTED and not isclose(hits, round(hits), abs_tol=1e-6):
        return f"is {measure.value:.6g}, which is not a count out of {measure.n}"
    if value in COUNTED and measure.value in (0.0, 1.0) and (measure.se or 0) > 1e-12:
        return "is the same for every item but has a standard error"
    return ""


def _suites(record: Record, scenario: Scenario) -> Iterator[str]:
    """Measured was what the scenario asks for, and the end repeats the last round."""
    spec, (in_rounds, at_end) = scenario.evaluation, MORE[record.scenario.track]
    for entry in record.rounds:
        measured = _suites_of((*entry.metrics, *entry.undefined))
        if strange := measured - {*spec.each_round} - in_rounds:
            yield f"round {entry.round}: its scenario does not ask for {shown(min(strange))}"
        if missing := {*spec.each_round} - measured:
            yield f"round {entry.round}: {min(missing)} was not measured"
    if strange := _suites_of(record.final) - {*spec.final} - at_end:
        yield f"at the end: its scenario does not ask for {shown(min(strange))}"
    if sorted(record.controls) != sorted(spec.controls):
        yield f"its controls are {', '.join(record.controls) or 'none'}, not the scenario's"
    last = record.rounds[-1].metrics if record.rounds else {}
    for name, measure in last.items():
        if name.rpartition("/")[0] in spec.final and record.final.get(name) != measure:
            yield f"{name} at the end is not that of the last round"


def _suites_of(names: Iterable[str]) -> set[str]:
    return {name.rpartition("/")[0] for name in names}


def _spread(record: Record, scenario: Scenario) -> Iterator[str]:
    last = record.rounds[-1].clients if record.rounds else {}
    expected = _spread_of(last)
    if (expected is None) != (record.spread is None):
        yield "its spread over clients is there without clients, or missing"
    elif expected and record.spread:
        for name, value in expected.model_dump().items():
            if not isclose(value, getattr(record.spread, name), rel_tol=1e-9, abs_tol=1e-12):
                yield f"spread.{name} is {getattr(record.spread, name):.6g}, its clients give {value:.6g}"


def _spread_of(clients: Mapping[str, Measure]) -> Spread | None:
    if not clients:
        return None
    values = [measure.value for measure in clients.values()]
    lower = any(measure.better == "lower" for measure in clients.values())
    worst, p10 = (max(values), 90) if lower else (min(values), 10)
    return Spread(mean=fmean(values), worst=worst, p10=float(np.percentile(values, p10)))


def _clients(record: Record, scenario: Scenario) -> Iterator[str]:
    """Where the clients' items are all the items, their measures average to the whole's."""
    counted = record.primary.rpartition("/")[2] in COUNTED
    for entry in record.rounds:
        whole, parts = entry.metrics.get(record.primary), entry.clients.values()
        if not (counted and whole and parts) or sum(part.n for part in parts) != whole.n:
            continue
        mean = sum(part.value * part.n for part in parts) / whole.n
        if not isclose(mean, whole.value, abs_tol=1e-9):
            yield (
                f"round {entry.round}: {record.primary} is {whole.value:.6g},"
                f" its clients' items give {mean:.6g}"
            )


def _digests(record: Record, scenario: Scenario) -> Iterator[str]:
    """The same parameters measure the same."""
    seen: dict[str, RoundEntry] = {}
    for entry in record.rounds:
        twin = seen.setdefault(entry.digest, entry)
        same = all(twin.metrics.get(name) == entry.metrics.get(name) for name in record.rounds[0].metrics)
        if not same or twin.clients != entry.clients:
            yield f"rounds {twin.round} and {entry.round} have the same parameters but other measures"


def _log(record: Record, scenario: Scenario) -> Iterator[str]:
    """Cohorts, faults and examples are what scenario and seed imply; bytes are what they cost."""
    if record.rounds and (record.rounds[0].cohort or record.rounds[0].costs.client_examples):
        yield "somebody trained in round 0, which is the untouched start"
    before = record.rounds[0].digest if record.rounds else ""
    rounds = list(zip(record.rounds[1:], planned(record, scenario), strict=True))
    for entry, plan in rounds:
        where = f"round {entry.round}"
        for what in ("cohort", "left_out", "came_late", "attackers"):
            if getattr(entry, what) != getattr(plan, what):
                yield f"{where}: {what} is not what scenario and seed give"
        if entry.costs.client_examples != plan.examples:
            yield (
                f"{where}: {entry.costs.client_examples} client_examples,"
                f" scenario and seed give {plan.examples}"
            )
        if entry.loss is not None and not plan.workers:
            yield f"{where}: it has a loss, but nobody trained"
        used = set(plan.came_late) | {client for client in plan.workers if str(client) not in plan.left_out}
        if not used and entry.digest != before:
            yield f"{where}: the parameters changed, but no update was used"
        before = entry.digest
    yield from _bytes(record, scenario, rounds)


def _bytes(
    record: Record, scenario: Scenario, rounds: Sequence[tuple[RoundEntry, PlannedRound]]
) -> Iterator[str]:
    """A client that trains gets and sends the parameters, perhaps more, and the same every round."""
    vector = BYTES_OF_A_NUMBER * record.data.parameters
    shares: dict[str, set[float]] = {"uplink_bytes": set(), "downlink_bytes": set()}
    for entry, plan in rounds:
        for name, found in shares.items():
            spent = getattr(entry.costs, name)
            if plan.workers:
                found.add(spent / len(plan.workers))
            elif spent:
                yield f"round {entry.round}: {spent} {name}, but nobody trained"
    if not communicates(record):
        if record.costs.uplink_bytes:
            yield "it sends parameters that nobody was given"
        elif not _apart(record, scenario):
            yield "its clients learn from each other, but no byte was sent"
        return
    for name, found in shares.items():
        if len(found) > 1:
            yield f"{name} per client that trained differ between rounds: {sorted(found)[:3]}"
        elif found:
            (share,) = found
            more = share - vector
            whole = vector if name == "downlink_bytes" else BYTES_OF_A_NUMBER
            if more < 0 or more % whole:
                yield f"{name} per client that trained is {share:g}; the parameters alone are {vector}"


def _apart(record: Record, scenario: Scenario) -> bool:
    """Whether nobody's work reaches anybody else: one place, nobody, or a model for every client."""
    if population(record, scenario) != "clients" or len(record.data.client_examples) == 1:
        return True
    first = record.rounds[0]
    whole, parts = first.metrics.get(record.primary), first.clients.values()
    return whole is None or not parts or whole.n >= len(record.data.client_examples) * max(p.n for p in parts)


EVERY_TRACK: Sequence[Check] = (
    _totals, _clock, _pins, _numbers, _suites, _spread, _clients, _digests,
)  # fmt: skip


def _preferences(record: Record, scenario: Scenario) -> Iterator[str]:
    """Rewards travelled, or the policy's parameters."""
    yield from (policy_rounds if fuses(record) else _log)(record, scenario)


ONE_TRACK: Mapping[Track, Check] = {"alignment": _log, "preference": _preferences}
