"""Scores on each client's own test part: what a record's measures come to with its clients one by one.

Beside a primary measure stand four that follow from it and from the clients' own (``RoundEntry.clients``):

- ``…/own``: the mean over clients of each one's measure on its own part of the test items;
- ``…/worst``, ``…/p10``: the worst client's, and the 10th percentile from the bad end;
- ``…/all``: over all items, whoever's they are; of a personalised method every client's model on all of them.

The primary measure itself is ``…/own`` of a method that leaves each client with a model of its own, and
``…/all`` of every other.
"""

from __future__ import annotations

from collections.abc import Mapping
from math import hypot

from fedbench.api.metrics import Measure
from fedbench.results.records import Record, RoundEntry, Spread

OWN, WORST, P10, ALL = "own", "worst", "p10", "all"


def personalised(record: Record) -> bool:
    """Whether every client was scored by a model of its own.

    Records from before it was recorded say so by their numbers of items: every client's model was measured on
    all clients' items.
    """
    if record.contract:
        return record.contract.personalised
    clients = len(record.data.client_examples)
    first = record.rounds[0] if record.rounds else None
    whole = first.metrics.get(record.primary) if first else None
    if clients < 2 or first is None or whole is None or not first.clients:
        return False
    return whole.n == clients * sum(own.n for own in first.clients.values())


def round_scores(record: Record) -> list[dict[str, Measure]]:
    """What each round was measured to be, by name, the measures of own parts included."""
    own_models, spreads = personalised(record), Spread.each([entry.clients for entry in record.rounds])
    return [
        _with_own(
            entry.metrics, own_scores(entry, record.primary, own_models, spread), record.primary, own_models
        )
        for entry, spread in zip(record.rounds, spreads, strict=True)
    ]


def final_scores(record: Record) -> dict[str, Measure]:
    """The measures at the end, by name, the measures of own parts included."""
    if not record.rounds:
        return dict(record.final)
    last, own_models = record.rounds[-1], personalised(record)
    own = own_scores(last, record.primary, own_models, Spread.of(last.clients))
    return _with_own(last.metrics | record.final, own, record.primary, own_models)


def _with_own(
    measures: Mapping[str, Measure], own: Mapping[str, Measure], primary: str, own_models: bool
) -> dict[str, Measure]:
    """``measures`` and the clients' ``own``; without those a personalised method has no primary one."""
    others = {name: measure for name, measure in measures.items() if not (own_models and name == primary)}
    return {**others, **own}


def own_scores(
    entry: RoundEntry, primary: str, own_models: bool, spread: Spread | None
) -> dict[str, Measure]:
    """The measures of a round that follow from the clients' own and from their ``spread``; none if these were
    not measured."""
    clients = list(entry.clients.values())
    if spread is None:
        return {}
    first, errors = clients[0], [client.se for client in clients]
    n = sum(client.n for client in clients)
    known = [error for error in errors if error is not None]

    def measure(value: float, n: int, se: float | None = None) -> Measure:
        return Measure(value=value, se=se, n=n, unit=first.unit, better=first.better)

    mean = measure(spread.mean, n, hypot(*known) / len(known) if len(known) == len(errors) else None)
    worst = next((client for client in clients if client.value == spread.worst), first)
    scores = {
        f"{primary}/{OWN}": mean,
        f"{primary}/{WORST}": worst,
        f"{primary}/{P10}": measure(spread.p10, n),
    }
    if primary in entry.metrics:
        scores[f"{primary}/{ALL}"] = entry.metrics[primary]
    return scores | ({primary: mean} if own_models else {})
