"""Do records agree with each other? What all runs of a scenario share must be the same in all of them."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Hashable, Iterator
from dataclasses import dataclass, field

from fedbench.api.scenario import Scenario
from fedbench.fingerprint import canonical_json, sha256_json
from fedbench.results.records import Record
from fedbench.results.run_summary import contender

Key = tuple[Hashable, ...]


def traits(record: Record, scenario: Scenario) -> Iterator[tuple[Key, str]]:
    """What ``record``, of ``scenario``, must have in common with others: (what they share it under, what it
    is).

    The first of the key says what it is about. Measures of the same parameters are the same on the same
    machine and packages only.
    """
    where, seed = record.scenario.fingerprint, record.seed
    yield ("what was federated", where), sha256_json(record.data.model_dump(mode="json"))
    if not record.rounds:
        return
    first = record.rounds[0]
    whole = first.metrics.get(record.primary)
    models = whole.n if whole else 0  # personalised methods measure every client's model
    yield ("the untouched start", where, seed, models), first.digest
    items = {name: [m.n, m.unit, m.better] for name, m in first.metrics.items()}
    yield ("the items measured", where, models), canonical_json(items)
    final = {name: [m.unit, m.better] for name, m in sorted(record.final.items())}
    yield ("what the measures are", where, sha256_json(list(final))), canonical_json(final)
    machine = sha256_json([record.environment.get(key) for key in ("processor", "device", "packages")])
    for entry in record.rounds:
        found = {name: entry.metrics[name].value for name in first.metrics if name in entry.metrics}
        clients = {client: measure.value for client, measure in entry.clients.items()}
        key = ("the measures of the same parameters", where, machine, entry.digest)
        yield key, sha256_json([found, clients])
    whose = where, *contender(record.method)
    if scenario.faults is None:  # else nobody may have answered
        costs = first.costs.uplink_bytes, first.costs.downlink_bytes, first.costs.client_examples
        yield ("whether round 0 costs anything", *whose), canonical_json([cost > 0 for cost in costs])
    if record.scenario.track == "alignment":  # whoever takes part sends the same
        yield ("bytes per update", *whose), _share(record)


def _share(record: Record) -> str:
    """Bytes up over bytes down."""
    costs = record.costs
    return f"{costs.uplink_bytes / costs.downlink_bytes:.9g}" if costs.downlink_bytes else "none"


@dataclass
class Agreement:
    """Collects records and says which of them are at odds with most of the others."""

    _found: dict[Key, dict[str, str]] = field(default_factory=lambda: defaultdict(dict))

    def add(self, name: str, record: Record, scenario: Scenario) -> None:
        for key, value in traits(record, scenario):
            self._found[key].setdefault(name, value)

    def objections(self) -> dict[str, str]:
        """By name: the first thing that a record alone says otherwise. Where no value has a majority, all
        who differ are named."""
        against: dict[str, str] = {}
        for key, values in self._found.items():
            (most, count), *others = Counter(values.values()).most_common()
            if not others:
                continue
            clear = count > others[0][1]
            for name, value in values.items():
                if value != most or not clear:
                    against.setdefault(
                        name, f"{key[0]} is not that of the other records it should share it with"
                    )
        return against
