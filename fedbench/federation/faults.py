"""Faults that a scenario asks for: who drops out, comes late, sends rubbish or attacks.

Every draw is a named stream of the seed, the round and the client, so all methods meet the same faults.
They strike what travels: a method that does not communicate meets none. Attackers and corruption change the
parameters a client sends; what else it sends or keeps (SCAFFOLD's c_k, Fed-CMP's d_k) stays honest.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
import torch
from torch import Tensor

from fedbench.federation.local import LocalWork
from fedbench.federation.updates import Updates, clients_of
from fedbench.rng import numpy_stream, torch_stream
from fedbench.scenario import Faults

HUGE = 1e6
"""How many times longer a huge update is than the honest one."""

NO_FAULTS = Faults()


@dataclass(frozen=True)
class FaultModel:
    """The faults of one run over ``clients`` clients."""

    spec: Faults
    seed: int
    clients: int

    @cached_property
    def byzantine(self) -> frozenset[int]:
        """The clients that attack, the whole run long."""
        number = self.spec.attackers(self.clients)
        chosen = numpy_stream(self.seed, "faults", "byzantine").choice(self.clients, number, replace=False)
        return frozenset(chosen.tolist())

    def dropped(self, round: int, clients: Sequence[int]) -> set[int]:
        """Who does not answer the call."""
        return self._struck("dropout", self.spec.dropout, round, clients)

    def late(self, round: int, clients: Sequence[int]) -> set[int]:
        """Whose update comes after the round has closed."""
        return self._struck("straggling", self.spec.straggling, round, clients)

    def poisoned(self, work: Sequence[LocalWork], twins: int) -> list[LocalWork]:
        """Label-flip attackers train on their examples' wrongly labelled twins, ``twins`` further on."""
        if self.spec.attack != "label-flip":
            return list(work)
        return [
            replace(item, examples=item.examples + twins) if item.client in self.byzantine else item
            for item in work
        ]

    def tampered(self, round: int, updates: Updates) -> Updates:
        """What arrives of what was sent: attackers' and corrupted updates instead of the honest ones."""
        params, clients = updates["params"].clone(), clients_of(updates)
        length = self.spec.strength
        for row, client in enumerate(clients):
            start = updates["start"][row]
            update = params[row] - start
            if client in self.byzantine and self.spec.attack == "sign-flip":
                params[row] = start - length * update
            elif client in self.byzantine and self.spec.attack == "gaussian":
                noise = self._noise(round, client, update)
                params[row] = start + length * update.norm() * noise / noise.norm()
        for client in self._struck("corruption", self.spec.corruption, round, clients):
            row, kinds = clients.index(client), self.spec.corrupted
            kind = kinds[int(self._draw("kind", round, client).integers(len(kinds)))]
            params[row] = CORRUPTIONS[kind](params[row], updates["start"][row])
        return {**updates, "params": params}

    def misjudged(self, step: int, client: int, rewards: Tensor) -> Tensor:
        """What arrives of a client's rewards [n] in a policy step: an attacker's or corrupted ones."""
        length = self.spec.strength
        if client in self.byzantine and self.spec.attack == "sign-flip":
            rewards = -length * rewards
        elif client in self.byzantine and self.spec.attack == "gaussian":
            rewards = length * self._noise(step, client, rewards)
        if self._struck("corruption", self.spec.corruption, step, [client]):
            kinds = self.spec.corrupted
            kind = kinds[int(self._draw("kind", step, client).integers(len(kinds)))]
            rewards = CORRUPTIONS[kind](rewards, torch.zeros_like(rewards))
        return rewards

    def _struck(self, fault: str, rate: float, round: int, clients: Sequence[int]) -> set[int]:
        if not rate:  # a stream for each client and round is too much for a fault that never happens
            return set()
        return {client for client in clients if self._draw(fault, round, client).random() < rate}

    def _draw(self, fault: str, round: int, client: int) -> np.random.Generator:
        return numpy_stream(self.seed, "faults", fault, round, client)

    def _noise(self, round: int, client: int, like: Tensor) -> Tensor:
        stream = torch_stream(self.seed, "faults", "gaussian", round, client)
        return torch.randn(like.shape, generator=stream).to(like)


CORRUPTIONS: dict[str, Callable[[Tensor, Tensor], Tensor]] = {
    "nan": lambda params, start: torch.full_like(params, torch.nan),
    "inf": lambda params, start: torch.full_like(params, torch.inf),
    "huge": lambda params, start: start + HUGE * (params - start),
}
