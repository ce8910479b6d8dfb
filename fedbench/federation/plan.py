"""What each client of a cohort trains on in a round, and where its learning-rate schedule stands."""

from __future__ import annotations

from collections.abc import Sequence

import torch

from fedbench.federation.local import LocalWork, steps_of
from fedbench.federation.schedule import one_pass_parts, turns
from fedbench.federation.setup import FederationSetup
from fedbench.rng import torch_stream


def plan(setup: FederationSetup, clients: Sequence[int], round: int) -> list[LocalWork]:
    """The work of ``clients``, all of whom take part in ``round`` (from 1)."""
    seed, training, fed = setup.seed, setup.training, setup.federation
    work = []
    for client in clients:
        mine = turns(seed, client, setup.clients, fed.cohort, fed.rounds)
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
