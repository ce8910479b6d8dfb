"""Do records agree with each other? What all runs of a scenario share must be the same in all of them."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

from fedbench.api.scenario import Scenario
from fedbench.fingerprint import canonical_json, sha256_json
from fedbench.results.records import Record
from fedbench.results.run_summary import contender

Key = tuple[str | int, ...]
"""What a fact is about, in words, then what records must have in common for it to be the same."""

Fact = tuple[Key, str]
"""What a fact is about, and what a record says of it."""


def shared_facts(record: Record, scenario: Scenario) -> Iterator[Fact]:
    """The facts that ``record`` must share with the records that have the same keys.

    Each refuses a forgery that fits itself but not the other records of its scenario:

    - *what was federated*: other data, clients or parameters;
    - *the untouched start*: a made-up digest of round 0;
    - *the items measured*, *what the measures are*: fewer items, another unit or direction;
    - *the measures of the same parameters*: other values for parameters that another record has, too
      (on the same machine and packages only: elsewhere the last bits may differ);
    - *whether round 0 costs anything*: reward models fitted for nothing in some seeds;
    - *bytes per update*: an update that is larger or smaller than in the method's other seeds;
    - *what travels*: other tensors than in the method's other seeds that say so.
    """
    scenario_id, seed = record.scenario.fingerprint, record.seed
    yield ("what was federated", scenario_id), sha256_json(record.data.model_dump(mode="json"))
    if not record.rounds:
        return
    first = record.rounds[0]
    whole = first.metrics.get(record.primary)
    models = whole.n if whole else 0  # personalised methods measure every client's model
    contract = record.contract
    trained = contract.trained if contract else 0  # another parametrisation begins elsewhere
    yield ("the untouched start", scenario_id, seed, models, trained), first.digest
    items = {name: [m.n, m.unit, m.better] for name, m in first.metrics.items()}
    yield ("the items measured", scenario_id, models), canonical_json(items)
    final = {name: [m.unit, m.better] for name, m in sorted(record.final.items())}
    yield ("what the measures are", scenario_id, sha256_json(list(final))), canonical_json(final)
    machine = sha256_json([record.environment.get(key) for key in ("processor", "device", "packages")])
    for entry in record.rounds:
        metrics = {name: entry.metrics[name].value for name in first.metrics if name in entry.metrics}
        clients = {client: measure.value for client, measure in entry.clients.items()}
        key = ("the measures of the same parameters", scenario_id, machine, entry.digest)
        yield key, sha256_json([metrics, clients])
    entrant = scenario_id, *contender(record.method)
    if scenario.faults is None:  # with faults it may be that no client answered
        costs = first.costs.uplink_bytes, first.costs.downlink_bytes, first.costs.client_examples
        yield ("whether round 0 costs anything", *entrant), canonical_json([cost > 0 for cost in costs])
    uneven = contract and (contract.base or contract.turns)  # what a client is sent depends on its turns
    if record.scenario.track == "alignment" and not uneven:  # every client that takes part sends the same
        yield ("bytes per update", *entrant), _up_over_down(record)
    if contract:
        yield ("what travels", *entrant), canonical_json(contract.model_dump(mode="json"))


def _up_over_down(record: Record) -> str:
    """Bytes up over bytes down."""
    costs = record.costs
    return f"{costs.uplink_bytes / costs.downlink_bytes:.9g}" if costs.downlink_bytes else "none"


@dataclass
class Agreement:
    """Collects the facts of records and says which records are at odds with most of the others."""

    _values: dict[Key, dict[str, str]] = field(default_factory=lambda: defaultdict(dict))
    """By key and the name of a record: what the record says."""

    def add(self, name: str, facts: Iterable[Fact]) -> None:
        """Take in the facts of a record; ``name`` is what :meth:`objections` calls it."""
        for key, value in facts:
            self._values[key].setdefault(name, value)

    def objections(self) -> dict[str, str]:
        """By name, the first fact in which a record differs from most others.

        Where no value has a majority, all records that share the fact are named.
        """
        objections: dict[str, str] = {}
        for (fact, *_), values in self._values.items():
            (commonest, count), *others = Counter(values.values()).most_common()
            if not others:
                continue
            majority = count > others[0][1]
            for name, value in values.items():
                if value != commonest or not majority:
                    problem = f"{fact} is not that of the other records it should share it with"
                    objections.setdefault(name, problem)
        return objections
