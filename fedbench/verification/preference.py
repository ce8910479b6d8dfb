"""Does a record of fused rewards agree with itself, its scenario and its seed? Arithmetic only, as in
:mod:`.consistency`.

Which answers a router sends to whom only a run can tell; how many there are, who can have been silent and
what the numbers cost on their way follows from what the engine notes of it.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Mapping
from typing import Any

from fedbench.api.reward_fuser import AVERAGE, GOLD, client_number
from fedbench.api.scenario import PolicyTraining, Scenario
from fedbench.federation.schedule import NO_FAULTS, FaultDraws
from fedbench.results.records import Record, RoundEntry
from fedbench.verification.rounds import BYTES_OF_A_NUMBER
from fedbench.verification.safety import shown

BYTES_OF_AN_IMAGE = 3
"""At least: a pixel."""
ROUNDING = 1e-6
SILENCE = {"late": FaultDraws.late, "dropped out": FaultDraws.dropped}
REASON = re.compile(r"(late|dropped out|not finite) in (\d{1,9}) of (\d{1,9}) steps")
SHARES = ("policy/gold", "policy/clipped", "policy/unparsed")


def fuses(record: Record) -> bool:
    """Whether sources were asked about answers, rather than parameters exchanged: only then does the engine
    note in round 0 whom a routing believes, and no method can."""
    return "routing" in record.rounds[0].diagnostics


def asks_for_the_truth(record: Record) -> bool:
    """Whether the true reward was among the sources."""
    return any(GOLD in (_asked(entry) or ()) for entry in record.rounds[1:])


def policy_rounds(record: Record, scenario: Scenario) -> Iterator[str]:
    """What does not add up in the rounds of policy steps."""
    spec = scenario.policy
    assert spec and scenario.rewards
    clients = scenario.federation.clients
    draws = FaultDraws(scenario.faults or NO_FAULTS, record.seed, clients)
    sources: set[str] = set()
    for entry in record.rounds[1:]:
        where = f"round {entry.round}"
        asked = _asked(entry)
        if not asked or (sources and sources != set(asked)):
            yield f"{where}: it does not say whom it asked about how many answers"
            continue
        if strangers := [
            name for name in asked if name not in (GOLD, AVERAGE) and client_number(name) is None
        ]:
            yield f"{where}: it asks {shown(min(strangers))}, who is no client, their average or the truth"
        sources = set(asked)
        remote = {client: n for name, n in asked.items() if (client := client_number(name)) is not None}
        silent, problems = _silent(entry, list(remote), draws, spec.steps)
        problems += _counts(entry, asked, spec, remote, clients)
        problems += _bytes(entry, remote, silent, spec)
        yield from (f"{where}: {problem}" for problem in problems)
        cohort = sorted(client for client, n in remote.items() if n)
        if sorted(entry.cohort) != cohort or entry.came_late:
            yield f"{where}: its cohort is not whom it asked"
        if entry.attackers != sorted(draws.byzantine & set(cohort)):
            yield f"{where}: attackers is not what scenario and seed give"
        yield from (f"{where}: {problem}" for problem in _figures(entry, spec))
    fitted = scenario.rewards.epochs * sum(record.data.client_examples)
    taught = AVERAGE in sources or any(client_number(name) is not None for name in sources)
    if taught and record.rounds[0].costs.client_examples < fitted:
        yield (
            f"round 0: {record.rounds[0].costs.client_examples} client_examples,"
            f" fitting the clients' reward models takes {fitted}"
        )


def _asked(entry: RoundEntry) -> Mapping[str, int] | None:
    """How many answers each source was asked about; None if that is not what the record holds."""
    asked: Any = entry.diagnostics.get("asked")
    if not isinstance(asked, Mapping) or not all(type(n) is int and n >= 0 for n in asked.values()):
        return None
    return asked


def _counts(
    entry: RoundEntry, asked: Mapping[str, int], spec: PolicyTraining, remote: Mapping[int, int], clients: int
) -> Iterator[str]:
    """Nobody is asked about more answers than there are, and nobody trains."""
    answers = spec.steps * spec.queries * spec.group
    if max(asked.values()) > answers:
        yield f"somebody was asked about {max(asked.values())} answers, the policy wrote {answers} at most"
    if remote and max(remote) >= clients:
        yield f"it asked client {max(remote)} of {clients}"
    if entry.costs.client_examples:
        yield f"{entry.costs.client_examples} client_examples, but clients only answer"


def _bytes(
    entry: RoundEntry, remote: Mapping[int, int], silent: Mapping[int, int], spec: PolicyTraining
) -> Iterator[str]:
    """Every answer went out with its image; a number came back for each but those of ``silent`` steps."""
    sent, up, down = sum(remote.values()), entry.costs.uplink_bytes, entry.costs.downlink_bytes
    a_step = spec.queries * spec.group
    most = sent - sum(silent.values())
    least = sent - sum(min(n, silent[client] * a_step) for client, n in remote.items())
    if up % BYTES_OF_A_NUMBER or not least <= up // BYTES_OF_A_NUMBER <= most:
        between = BYTES_OF_A_NUMBER * most if least == most else f"{BYTES_OF_A_NUMBER * least} or more"
        yield f"{up} uplink_bytes, {sent} rewards are {between}"
    if down < BYTES_OF_AN_IMAGE * sent or (down and not sent):
        yield f"{down} downlink_bytes for {sent} answers"


def _silent(
    entry: RoundEntry, remote: list[int], draws: FaultDraws, steps: int
) -> tuple[Mapping[int, int], list[str]]:
    """In how many steps each client was silent, and what is wrong with that: nobody is in more than scenario
    and seed make it."""
    silent: Counter[int] = Counter()
    if not entry.left_out:
        return silent, []
    numbers = range((entry.round - 1) * steps + 1, entry.round * steps + 1)
    most = {reason: Counter(k for n in numbers for k in struck(draws, n, remote))
            for reason, struck in SILENCE.items()}  # fmt: skip
    for client, words in entry.left_out.items():
        found = [REASON.fullmatch(word) for word in words.split(", ")]
        reasons = [match[1] for match in found if match]
        if client not in map(str, entry.cohort) or len(set(reasons)) < len(found):
            return silent, ["left_out is not what a run says"]
        for reason, count, of in (match.groups() for match in found if match):
            ceiling = most[reason][int(client)] if reason in most else steps
            if int(of) != steps or not 1 <= int(count) <= ceiling:
                drawn = f"scenario and seed give {ceiling}"
                return silent, [f"client {client} is {reason} in {count} steps, {drawn}"]
            silent[int(client)] += int(count) if reason in most else 0
    return silent, []


def _figures(entry: RoundEntry, spec: PolicyTraining) -> Iterator[str]:
    """Means over the round's steps are such as could have come out."""
    found = {name: measure.value for name, measure in entry.metrics.items()}
    for name in SHARES:
        if not 0 <= found.get(name, 0) <= 1:
            yield f"{name} is {found[name]:g}, not a share"
    if not 0 <= found.get("policy/tokens", 0) <= spec.max_tokens:
        yield f"policy/tokens is {found['policy/tokens']:g}, an answer has {spec.max_tokens} at most"
    if found.get("policy/kl", 0) < -ROUNDING:
        yield f"policy/kl is {found['policy/kl']:g}, its estimator is never negative"
