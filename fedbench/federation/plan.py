"""What each client of a cohort trains on in a round, and where its learning-rate schedule stands."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial

import numpy as np
import torch

from fedbench.api.phase import Phase
from fedbench.federation.local import LocalWork, WholeCohort, steps_of
from fedbench.federation.schedule import TurnSizes, one_pass_part, passes, phase_spans, turns
from fedbench.federation.setup import FederationSetup
from fedbench.rng import derive, torch_stream


@dataclass(frozen=True)
class PhaseWork:
    """A phase, what each client does in it, and all who train in this round, whose longest text sets the
    padding."""

    phase: Phase
    work: Sequence[LocalWork]
    cohort: WholeCohort

    def part(self, rows: slice) -> PhaseWork:
        """The same for some of the clients."""
        return replace(self, work=self.work[rows])


def plan(setup: FederationSetup, clients: Sequence[int], round: int) -> list[LocalWork]:
    """The work of ``clients``, all of whom take part in ``round`` (from 1)."""
    steps = partial(steps_of, training=setup.training)
    work = []
    for client in clients:
        turn, sizes = _turn(setup, client, round)
        examples = _in_order(setup, client, round, turn, sizes.turns)[: sizes.at(turn)]
        before, total = 0, steps(len(examples))
        if setup.training.one_schedule:
            before, total = sizes.before(turn, steps), sizes.before(sizes.turns, steps)
        work.append(LocalWork(client=client, examples=examples, first_step=before, schedule_steps=total))
    return work


def _in_order(setup: FederationSetup, client: int, round: int, turn: int, turns: int) -> np.ndarray:
    """What a client would go through in ``round`` at full speed, its ``turn`` (from 0) of ``turns``."""
    shard, seed, epochs = setup.shards[client], setup.seed, setup.federation.epochs
    if epochs:
        return passes(shard, epochs, derive(seed, "round", round), "client", client)
    part = one_pass_part(shard, seed, client, turns, turn)
    order = torch.randperm(len(part), generator=torch_stream(seed, "client", round, client))
    return part.take(order.numpy())


def plan_end(setup: FederationSetup) -> list[LocalWork]:
    """The work of every client that has any examples, all of which it goes through after the last round."""
    work = []
    for client, shard in enumerate(setup.shards):
        if len(shard):
            examples = one_pass_part(shard, setup.seed, client, 1, 0)
            steps = steps_of(len(shard), setup.training)
            work.append(LocalWork(client=client, examples=examples, first_step=0, schedule_steps=steps))
    return work


def in_phases(
    setup: FederationSetup, work: Sequence[LocalWork], phases: Sequence[Phase], round: int | None
) -> list[PhaseWork]:
    """Divide ``work`` into ``phases``; ``round`` is None after the last."""
    of_clients = [_parts(setup, item, phases, round) for item in work]
    by_phase = [[of_client[number] for of_client in of_clients] for number in range(len(phases))]
    return [
        PhaseWork(phase=phase, work=items, cohort=WholeCohort(items, setup.training, setup.task.device))
        for phase, items in zip(phases, by_phase, strict=True)
    ]


def _parts(
    setup: FederationSetup, item: LocalWork, phases: Sequence[Phase], round: int | None
) -> list[LocalWork]:
    if len(phases) == 1 and phases[0].share == 1:
        return [item]
    training, shares = setup.training, [phase.share for phase in phases]

    def steps(number: int, examples: int) -> int:
        """The steps of a phase over so many examples."""
        begin, end = phase_spans(examples, training.batch_size, shares)[number]
        return steps_of(end - begin, training)

    turn, sizes = 0, TurnSizes(turns=1, longer=0, long=0, short=len(item.examples))
    if training.one_schedule and round is not None:
        turn, sizes = _turn(setup, item.client, round)
    parts = []
    for number, (begin, end) in enumerate(phase_spans(len(item.examples), training.batch_size, shares)):
        first, total = (sizes.before(ended, partial(steps, number)) for ended in (turn, sizes.turns))
        seen = item.examples.take(range(begin, end), mode="wrap")
        parts.append(replace(item, examples=seen, first_step=first, schedule_steps=total))
    return parts


def _turn(setup: FederationSetup, client: int, round: int) -> tuple[int, TurnSizes]:
    """Which of its turns, from 0, ``round`` is for ``client``, and how much it does in each of them."""
    fed = setup.federation
    mine = turns(setup.seed, client, setup.clients, fed.cohort, fed.rounds)
    return bisect_left(mine, round), setup.pace.sizes(client, len(setup.shards[client]), len(mine))
