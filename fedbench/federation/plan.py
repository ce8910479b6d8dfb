"""What each client of a cohort trains on in a round, and where its learning-rate schedule stands."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch

from fedbench.api.phase import Phase
from fedbench.federation.local import LocalWork, steps_of
from fedbench.federation.schedule import one_pass_parts, phase_spans, turns
from fedbench.federation.setup import FederationSetup
from fedbench.rng import torch_stream


@dataclass(frozen=True)
class PhaseWork:
    """A phase, and what each client does in it."""

    phase: Phase
    work: Sequence[LocalWork]


def plan(setup: FederationSetup, clients: Sequence[int], round: int) -> list[LocalWork]:
    """The work of ``clients``, all of whom take part in ``round`` (from 1)."""
    seed, training = setup.seed, setup.training
    work = []
    for client in clients:
        mine = _turns(setup, client)
        turn = mine.index(round)
        parts = one_pass_parts(setup.shards[client], seed, client, len(mine))
        order = torch.randperm(len(parts[turn]), generator=torch_stream(seed, "client", round, client))
        steps = [steps_of(len(part), training) for part in parts]
        before, total = (sum(steps[:turn]), sum(steps)) if training.one_schedule else (0, steps[turn])
        work.append(
            LocalWork(
                client=client, examples=parts[turn][order.numpy()], first_step=before, schedule_steps=total
            )
        )
    return work


def plan_end(setup: FederationSetup) -> list[LocalWork]:
    """The work of every client that has any examples, all of which it goes through after the last round."""
    work = []
    for client, shard in enumerate(setup.shards):
        if len(shard):
            (examples,) = one_pass_parts(shard, setup.seed, client, 1)
            steps = steps_of(len(shard), setup.training)
            work.append(LocalWork(client=client, examples=examples, first_step=0, schedule_steps=steps))
    return work


def in_phases(
    setup: FederationSetup, work: Sequence[LocalWork], phases: Sequence[Phase], round: int | None
) -> list[PhaseWork]:
    """Divide ``work`` into ``phases``; ``round`` is None after the last."""
    parts = [_parts(setup, item, phases, round) for item in work]
    return [
        PhaseWork(phase=phase, work=[of_client[number] for of_client in parts])
        for number, phase in enumerate(phases)
    ]


def _parts(
    setup: FederationSetup, item: LocalWork, phases: Sequence[Phase], round: int | None
) -> list[LocalWork]:
    if len(phases) == 1 and phases[0].share == 1:
        return [item]
    training, shares = setup.training, [phase.share for phase in phases]

    def steps(examples: int) -> list[int]:
        """The steps of each phase over so many examples."""
        spans = phase_spans(examples, training.batch_size, shares)
        return [steps_of(end - begin, training) for begin, end in spans]

    of_turns, turn = [steps(len(item.examples))], 0
    if training.one_schedule and round is not None:
        mine = _turns(setup, item.client)
        sizes = map(len, np.array_split(setup.shards[item.client], len(mine)))
        of_turns, turn = [steps(size) for size in sizes], mine.index(round)
    spans = phase_spans(len(item.examples), training.batch_size, shares)
    return [
        replace(
            item,
            examples=item.examples.take(range(begin, end), mode="wrap"),
            first_step=sum(steps[number] for steps in of_turns[:turn]),
            schedule_steps=sum(steps[number] for steps in of_turns),
        )
        for number, (begin, end) in enumerate(spans)
    ]


def _turns(setup: FederationSetup, client: int) -> Sequence[int]:
    """The rounds in which ``client`` takes part."""
    fed = setup.federation
    return turns(setup.seed, client, setup.clients, fed.cohort, fed.rounds)
