"""Checks of rounds in which parameters travel: the alignment track, and policies that clients train."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from fedbench.api.metrics import BYTES_PER_NUMBER
from fedbench.api.scenario import Scenario
from fedbench.federation.bill import Bill, owed
from fedbench.results.records import Contract, Record, RoundEntry
from fedbench.verification.planned_rounds import (
    PlannedRound,
    parameters_travelled,
    planned_rounds,
    population,
)


def parameter_rounds(record: Record, scenario: Scenario) -> Iterator[str]:
    """What does not add up in rounds that train and exchange parameters."""
    yield from _untouched_start(record.rounds[0])
    rounds = list(zip(record.rounds[1:], planned_rounds(record, scenario), strict=True))
    before = record.rounds[0].digest
    for entry, plan in rounds:
        problems = (*_participation(entry, plan), *_training(entry, plan, before))
        yield from (f"round {entry.round}: {problem}" for problem in problems)
        before = entry.digest
    if record.contract:
        yield from _billed(record.contract, scenario, rounds)
        yield from _personal(record.contract, record, scenario)
    elif parameters_travelled(record):
        yield from _bytes_per_client(record, rounds)
    else:
        yield from _silence(record, scenario)


def _untouched_start(start: RoundEntry) -> Iterator[str]:
    """Refuses training before the first round."""
    if start.cohort or start.costs.client_examples:
        yield "somebody trained in round 0, which is the untouched start"


def _participation(entry: RoundEntry, plan: PlannedRound) -> Iterator[str]:
    """Refuses cohorts, omissions, late arrivals and attackers that scenario and seed do not give."""
    for name in ("cohort", "left_out", "came_late", "attackers"):
        if getattr(entry, name) != getattr(plan, name):
            yield f"{name} is not what scenario and seed give"


def _training(entry: RoundEntry, plan: PlannedRound, before: str) -> Iterator[str]:
    """Refuses examples that scenario and seed do not give, and a loss or new parameters without training."""
    if entry.costs.client_examples != plan.examples:
        yield f"{entry.costs.client_examples} client_examples, scenario and seed give {plan.examples}"
    if entry.loss is not None and not plan.workers:
        yield "it has a loss, but nobody trained"
    used = plan.came_late or any(str(client) not in plan.left_out for client in plan.workers)
    if not used and entry.digest != before:
        yield "the parameters changed, but no update was used"


def _billed(
    contract: Contract, scenario: Scenario, rounds: Sequence[tuple[RoundEntry, PlannedRound]]
) -> Iterator[str]:
    """Refuses bytes that are not those of the declared numbers, for every client that trained."""
    bill = Bill(
        down=contract.down,
        up=contract.up,
        turns=contract.turns,
        down_by_rank={int(rank): numbers for rank, numbers in contract.down_by_rank.items()},
        up_by_rank={int(rank): numbers for rank, numbers in contract.up_by_rank.items()},
        ranks=scenario.training.lora.ranks if scenario.training.lora and contract.up_by_rank else (),
    )
    took_part: dict[int, int] = {}
    offered: dict[int, int] = {}
    moved = 0
    for entry, plan in rounds:
        up = [bill.up_in(client, entry.round) for client in plan.workers]
        down = [
            bill.down_in(client, entry.round, took_part.get(client, 0))
            + owed(moved, offered.get(client, 0), contract.base)
            for client in plan.workers
        ]
        took_part |= dict.fromkeys(plan.workers, entry.round)
        offered |= dict.fromkeys(plan.workers, moved)
        moved += entry.moved
        for name, numbers in (("uplink_bytes", up), ("downlink_bytes", down)):
            if vars(entry.costs)[name] != BYTES_PER_NUMBER * sum(numbers):
                yield (
                    f"round {entry.round}: {vars(entry.costs)[name]} {name}; by what the method declares"
                    f" {len(numbers)} clients that trained have {BYTES_PER_NUMBER * sum(numbers)}"
                )


def _personal(contract: Contract, record: Record, scenario: Scenario) -> Iterator[str]:
    """Refuses negative numbers, and parameters that do not travel though all clients have one model."""
    if any(count < 0 for numbers in (contract.down, contract.up) for count in numbers.values()):
        yield "its contract has negative numbers"
    if contract.personalised and not _isolated(record, scenario):
        yield "its clients have a model each, but these were not each measured on all items"
    trained = contract.trained or record.data.parameters
    # a base that is moved goes down in the place of parameters
    ways = (contract.up,) if contract.base else (contract.down, contract.up)
    travelled = {numbers.get("params", 0) for numbers in ways}
    if travelled != {trained} and not _isolated(record, scenario):
        few = f"{min(travelled)} of its {trained} parameters travel"
        yield f"{few}, but its clients have one model"


def _bytes_per_client(record: Record, rounds: Sequence[tuple[RoundEntry, PlannedRound]]) -> Iterator[str]:
    """Refuses bytes that are fewer than the parameters, no whole numbers, or not the same in every round."""
    vector = BYTES_PER_NUMBER * record.data.parameters
    for name, unit in (("uplink_bytes", BYTES_PER_NUMBER), ("downlink_bytes", vector)):
        per_client: set[float] = set()
        for entry, plan in rounds:
            spent = getattr(entry.costs, name)
            if plan.workers:
                per_client.add(spent / len(plan.workers))
            elif spent:
                yield f"round {entry.round}: {spent} {name}, but nobody trained"
        if len(per_client) > 1:
            yield f"{name} per client that trained differ between rounds: {sorted(per_client)[:3]}"
        for share in per_client if len(per_client) == 1 else ():
            if share < vector or (share - vector) % unit:
                yield f"{name} per client that trained is {share:g}; the parameters alone are {vector}"


def _silence(record: Record, scenario: Scenario) -> Iterator[str]:
    """Refuses clients that send what they were never given, or that learn from each other for free."""
    if record.costs.uplink_bytes:
        yield "it sends parameters that nobody was given"
    elif not _isolated(record, scenario):
        yield "its clients learn from each other, but no byte was sent"


def _isolated(record: Record, scenario: Scenario) -> bool:
    """Whether each client may have parameters of its own: one place, nobody, or a model for every client."""
    clients = len(record.data.client_examples)
    if population(record, scenario).kind != "clients" or clients == 1:
        return True
    first = record.rounds[0]
    whole, measured = first.metrics.get(record.primary), first.clients.values()
    return whole is None or not measured or whole.n >= clients * max(client.n for client in measured)
