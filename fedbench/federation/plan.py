"""What each client of a cohort trains on in a round, and where its learning-rate schedule stands."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial

import torch

from fedbench.api.phase import Phase
from fedbench.federation.local import LocalWork, WholeCohort, steps_of
from fedbench.federation.schedule import one_pass_part, phase_spans, turns
from fedbench.federation.setup import FederationSetup
from fedbench.rng import torch_stream


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
    seed, training = setup.seed, setup.training
    work = []
    for client in clients:
        mine, shard = _turns(setup, client), setup.shards[client]
        turn = bisect_left(mine, round)
        part = one_pass_part(shard, seed, client, len(mine), turn)
        order = torch.randperm(len(part), generator=torch_stream(seed, "client", round, client))
        before, total = 0, steps_of(len(part), training)
        if training.one_schedule:
            before, total = _one_schedule(len(shard), len(mine), turn, partial(steps_of, training=training))
        work.append(
            LocalWork(client=client, examples=part[order.numpy()], first_step=before, schedule_steps=total)
        )
    return work


def _one_schedule(shard: int, turns: int, turn: int, steps: Callable[[int], int]) -> tuple[int, int]:
    """The steps before a client's ``turn`` and those of all its turns, each of ``steps(its examples)``.

    Its parts have two sizes, so this takes no longer for many turns than for two.
    """
    size, longer = divmod(shard, turns)
    long, short = steps(size + 1) if longer else 0, steps(size)
    before = min(turn, longer) * long + max(0, turn - longer) * short
    return before, longer * long + (turns - longer) * short


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

    examples, count, turn = len(item.examples), 1, 0
    if training.one_schedule and round is not None:
        mine = _turns(setup, item.client)
        examples, count, turn = len(setup.shards[item.client]), len(mine), bisect_left(mine, round)
    parts = []
    for number, (begin, end) in enumerate(phase_spans(len(item.examples), training.batch_size, shares)):
        first, total = _one_schedule(examples, count, turn, partial(steps, number))
        seen = item.examples.take(range(begin, end), mode="wrap")
        parts.append(replace(item, examples=seen, first_step=first, schedule_steps=total))
    return parts


def _turns(setup: FederationSetup, client: int) -> Sequence[int]:
    """The rounds in which ``client`` takes part."""
    fed = setup.federation
    return turns(setup.seed, client, setup.clients, fed.cohort, fed.rounds)
