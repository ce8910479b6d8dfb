"""Checks of rounds in which rewards travel: a policy learns on the server, reward sources answer queries.

Which answers a router sends to which source only a run shows. How many there are, which clients can have been
silent and what the rewards cost on their way follows from scenario, seed and what the engine notes.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from fedbench.api.metrics import BYTES_PER_NUMBER
from fedbench.api.reward_fuser import AVERAGE, GOLD, client_number
from fedbench.api.scenario import PolicyTraining, Scenario
from fedbench.federation.schedule import NO_FAULTS, FaultDraws, LeftOut
from fedbench.results.queried import queried_sources
from fedbench.results.records import Record, RoundEntry
from fedbench.verification.safety import quoted

LEAST_IMAGE_BYTES = 3
"""One pixel."""
ROUNDING = 1e-6
DRAWN_SILENCE = {LeftOut.LATE: FaultDraws.late, LeftOut.DROPPED_OUT: FaultDraws.dropped}
"""Reasons for silence that scenario and seed draw for every step."""
SILENT = (LeftOut.LATE, LeftOut.DROPPED_OUT, LeftOut.NOT_FINITE)
SILENCE = re.compile(rf"({'|'.join(SILENT)}) in (\d{{1,9}}) of (\d{{1,9}}) steps")
SHARES = ("policy/gold", "policy/clipped", "policy/unparsed")


@dataclass(frozen=True)
class Silence:
    """The steps in which clients that were queried gave no reward, as far as their round's entry says so."""

    steps: Mapping[int, int]
    """How many steps each client was late or had dropped out."""
    problem: str = ""
    """What is wrong with the entry; empty if nothing."""


def rewards_travelled(record: Record) -> bool:
    """Whether reward sources were queried, rather than parameters exchanged.

    Only then does the engine note in round 0 how answers are routed, and no method can.
    """
    return "routing" in record.rounds[0].diagnostics


def reward_rounds(record: Record, scenario: Scenario) -> Iterator[str]:
    """What does not add up in rounds of policy steps."""
    spec = scenario.policy
    assert spec and scenario.rewards
    draws = FaultDraws(scenario.faults or NO_FAULTS, record.seed, scenario.federation.clients)
    sources: set[str] = set()
    for entry in record.rounds[1:]:
        queried = queried_sources(entry)
        if not queried or (sources and sources != set(queried)):
            yield f"round {entry.round}: it does not say whom it asked about how many answers"
            continue
        sources = set(queried)
        by_client = {k: n for name, n in queried.items() if (k := client_number(name)) is not None}
        silence = _silence(entry, list(by_client), draws, spec.steps)
        problems = (
            *_sources(queried),
            *([silence.problem] if silence.problem else []),
            *_answers(entry, queried, by_client, spec, draws.clients),
            *_bytes(entry, by_client, silence.steps, spec),
            *_participation(entry, by_client, draws),
            *_policy_measures(entry, spec),
        )
        yield from (f"round {entry.round}: {problem}" for problem in problems)
    yield from _fitting(record, sources, scenario.rewards.epochs)


def _sources(queried: Mapping[str, int]) -> Iterator[str]:
    """Refuses reward sources of which the engine has no count."""
    unknown = [name for name in queried if name not in (GOLD, AVERAGE) and client_number(name) is None]
    if unknown:
        yield f"it asks {quoted(min(unknown))}, who is no client, their average or the truth"


def _answers(
    entry: RoundEntry,
    queried: Mapping[str, int],
    by_client: Mapping[int, int],
    spec: PolicyTraining,
    clients: int,
) -> Iterator[str]:
    """Refuses queries about more answers than the policy wrote, unknown clients, and clients that train."""
    answers = spec.steps * spec.queries * spec.group
    if max(queried.values()) > answers:
        yield f"somebody was asked about {max(queried.values())} answers, the policy wrote {answers} at most"
    if by_client and max(by_client) >= clients:
        yield f"it asked client {max(by_client)} of {clients}"
    if entry.costs.client_examples:
        yield f"{entry.costs.client_examples} client_examples, but clients only answer"


def _bytes(
    entry: RoundEntry, by_client: Mapping[int, int], silent_steps: Mapping[int, int], spec: PolicyTraining
) -> Iterator[str]:
    """Refuses answers sent out without their images, and rewards without the bytes that they take.

    A reward came back for every answer but those of the steps in which its client was silent.
    """
    sent, up, down = sum(by_client.values()), entry.costs.uplink_bytes, entry.costs.downlink_bytes
    answers_a_step = spec.queries * spec.group
    most = sent - sum(silent_steps.values())
    least = sent - sum(min(n, silent_steps.get(k, 0) * answers_a_step) for k, n in by_client.items())
    if up % BYTES_PER_NUMBER or not least <= up // BYTES_PER_NUMBER <= most:
        expected = BYTES_PER_NUMBER * most if least == most else f"{BYTES_PER_NUMBER * least} or more"
        yield f"{up} uplink_bytes, {sent} rewards are {expected}"
    if down < LEAST_IMAGE_BYTES * sent or (down and not sent):
        yield f"{down} downlink_bytes for {sent} answers"


def _silence(entry: RoundEntry, clients: list[int], draws: FaultDraws, steps: int) -> Silence:
    """Refuses clients that are silent in more steps than scenario and seed make them."""
    if not entry.left_out:
        return Silence(steps={})
    numbers = range((entry.round - 1) * steps + 1, entry.round * steps + 1)
    drawn: dict[str, Counter[int]] = {
        reason: Counter(client for number in numbers for client in struck(draws, number, clients))
        for reason, struck in DRAWN_SILENCE.items()
    }
    silent: Counter[int] = Counter()
    for client, words in entry.left_out.items():
        matches = [match for word in words.split(", ") if (match := SILENCE.fullmatch(word))]
        complete = len({match[1] for match in matches}) == len(words.split(", "))
        if client not in map(str, entry.cohort) or not complete:
            return Silence(steps=silent, problem="left_out is not what a run says")
        for reason, count, of in (match.groups() for match in matches):
            most = drawn[reason][int(client)] if reason in drawn else steps
            if int(of) != steps or not 1 <= int(count) <= most:
                problem = f"client {client} is {reason} in {count} steps, scenario and seed give {most}"
                return Silence(steps=silent, problem=problem)
            silent[int(client)] += int(count) if reason in drawn else 0
    return Silence(steps=silent)


def _participation(entry: RoundEntry, by_client: Mapping[int, int], draws: FaultDraws) -> Iterator[str]:
    """Refuses a cohort that was not queried, and attackers that scenario and seed do not give."""
    cohort = sorted(client for client, n in by_client.items() if n)
    if sorted(entry.cohort) != cohort or entry.came_late:
        yield "its cohort is not whom it asked"
    if entry.attackers != sorted(draws.byzantine & set(cohort)):
        yield "attackers is not what scenario and seed give"


def _policy_measures(entry: RoundEntry, spec: PolicyTraining) -> Iterator[str]:
    """Refuses means over the round's steps that no step can give."""
    means = {name: measure.value for name, measure in entry.metrics.items()}
    for name in SHARES:
        if not 0 <= means.get(name, 0) <= 1:
            yield f"{name} is {means[name]:g}, not a share"
    if not 0 <= means.get("policy/tokens", 0) <= spec.max_tokens:
        yield f"policy/tokens is {means['policy/tokens']:g}, an answer has {spec.max_tokens} at most"
    if means.get("policy/kl", 0) < -ROUNDING:
        yield f"policy/kl is {means['policy/kl']:g}, its estimator is never negative"


def _fitting(record: Record, sources: set[str], passes: int) -> Iterator[str]:
    """Refuses clients' reward models that were fitted on fewer examples than the clients have."""
    examples, needed = record.rounds[0].costs.client_examples, passes * sum(record.data.client_examples)
    fitted = AVERAGE in sources or any(client_number(name) is not None for name in sources)
    if fitted and examples < needed:
        yield f"round 0: {examples} client_examples, fitting the clients' reward models takes {needed}"
