"""Checks of what every record measures: each value by itself, and values that follow from each other."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from math import isclose

from fedbench.api.metrics import Measure
from fedbench.api.scenario import Scenario
from fedbench.api.specs import Track
from fedbench.results.records import Record, RoundEntry, Spread
from fedbench.verification.safety import quoted

COUNTED = ("accuracy", "raw_accuracy", "exact_match", "unparsed", "yes_ratio")
"""Values of a suite that are counts of items: value × n is a whole number."""

SHARES = (*COUNTED, "token_accuracy", "f1", "balanced_accuracy")
"""Values of a suite that lie between 0 and 1 where their unit is a share."""

BESIDE_SUITES: Mapping[Track, tuple[frozenset[str], frozenset[str]]] = {
    "alignment": (frozenset(), frozenset()),
    "preference": (frozenset({"policy"}), frozenset({"policy", "rewards", "router"})),
}
"""Groups of measures that a track has beside the scenario's suites: after each round, and at the end."""


def values(record: Record, scenario: Scenario) -> Iterator[str]:
    """Refuses measures that no evaluation gives, and a unit or direction that is not the same everywhere."""
    suite_names = {*scenario.evaluation.each_round, *scenario.evaluation.final}
    kinds: dict[str, tuple[str, str]] = {}
    for where, name, measure in _measures(record):
        if kinds.setdefault(name, (measure.unit, measure.better)) != (measure.unit, measure.better):
            yield f"{where}: {name} has another unit or direction than elsewhere in the record"
        suite, _, value = name.rpartition("/")
        if problem := _impossible(measure, value if suite in suite_names else ""):
            yield f"{where}: {name} {problem}"


def _measures(record: Record) -> Iterator[tuple[str, str, Measure]]:
    """Every measure of the record, with its place and name."""
    for entry in record.rounds:
        where = f"round {entry.round}"
        yield from ((where, name, measure) for name, measure in entry.metrics.items())
        yield from ((f"{where}, client {k}", record.primary, measure) for k, measure in entry.clients.items())
    yield from (("at the end", name, measure) for name, measure in record.final.items())
    for control, measures in record.controls.items():
        yield from ((f"control {control}", name, measure) for name, measure in measures.items())
    for control, clients in record.control_clients.items():
        where = f"control {control}, client"
        yield from ((f"{where} {k}", record.primary, measure) for k, measure in clients.items())


def _impossible(measure: Measure, value: str) -> str:
    """What is wrong with a measure that is ``value`` of a suite's items; empty if nothing."""
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


def suites(record: Record, scenario: Scenario) -> Iterator[str]:
    """Refuses missing or other suites and controls, and final measures that are not the last round's."""
    spec, (each_round, at_end) = scenario.evaluation, BESIDE_SUITES[record.scenario.track]
    for entry in record.rounds:
        measured = _suites_of((*entry.metrics, *entry.undefined))
        if strange := measured - {*spec.each_round} - each_round:
            yield f"round {entry.round}: its scenario does not ask for {quoted(min(strange))}"
        if missing := {*spec.each_round} - measured:
            yield f"round {entry.round}: {min(missing)} was not measured"
    if strange := _suites_of(record.final) - {*spec.final} - at_end:
        yield f"at the end: its scenario does not ask for {quoted(min(strange))}"
    if sorted(record.controls) != sorted(spec.controls):
        yield f"its controls are {', '.join(record.controls) or 'none'}, not the scenario's"
    if strange := set(record.control_clients) - set(record.controls):
        yield f"clients were measured under {quoted(min(strange))}, which is no control of its scenario"
    for name, measure in record.rounds[-1].metrics.items():
        if name.rpartition("/")[0] in spec.final and record.final.get(name) != measure:
            yield f"{name} at the end is not that of the last round"


def _suites_of(names: Iterable[str]) -> set[str]:
    return {name.rpartition("/")[0] for name in names}


def client_spread(record: Record, scenario: Scenario) -> Iterator[str]:
    """Refuses a spread over clients that is not that of the last round's clients."""
    expected = Spread.of(record.rounds[-1].clients)
    if (expected is None) != (record.spread is None):
        yield "its spread over clients is there without clients, or missing"
    elif expected and record.spread:
        for name, value in expected.model_dump().items():
            if not isclose(value, getattr(record.spread, name), rel_tol=1e-9, abs_tol=1e-12):
                yield f"spread.{name} is {getattr(record.spread, name):.6g}, its clients give {value:.6g}"


def client_measures(record: Record, scenario: Scenario) -> Iterator[str]:
    """Refuses a share that its clients' items do not add up to, where theirs are all the items; and clients
    that have other items under a control."""
    counted = record.primary.rpartition("/")[2] in COUNTED
    places = [(f"round {entry.round}", entry.metrics, entry.clients) for entry in record.rounds]
    controls = record.control_clients.items()
    places += [(f"control {name}", record.controls.get(name, {}), clients) for name, clients in controls]
    for where, measures, of_clients in places:
        whole, clients = measures.get(record.primary), of_clients.values()
        if not (counted and whole and clients) or sum(client.n for client in clients) != whole.n:
            continue
        mean = sum(client.value * client.n for client in clients) / whole.n
        if not isclose(mean, whole.value, abs_tol=1e-9):
            yield f"{where}: {record.primary} is {whole.value:.6g}, its clients' items give {mean:.6g}"
    items = {client: measure.n for client, measure in record.rounds[-1].clients.items()}
    for name, under_control in controls:
        if {client: measure.n for client, measure in under_control.items()} != items:
            yield f"control {name}: its clients have other items than in the last round"


def repeated_parameters(record: Record, scenario: Scenario) -> Iterator[str]:
    """Refuses two rounds that have the same parameters but different measures."""
    by_digest: dict[str, RoundEntry] = {}
    for entry in record.rounds:
        earlier = by_digest.setdefault(entry.digest, entry)
        names = record.rounds[0].metrics
        same = all(earlier.metrics.get(name) == entry.metrics.get(name) for name in names)
        if not same or earlier.clients != entry.clients:
            yield f"rounds {earlier.round} and {entry.round} have the same parameters but other measures"
