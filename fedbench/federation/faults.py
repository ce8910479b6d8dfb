"""Faults that a scenario asks for: who drops out, comes late, sends rubbish or attacks.

Faults strike what travels: a method that does not communicate meets none. Attackers and corruption change the
parameters a client sends; what else it sends or keeps (SCAFFOLD's c_k, Fed-CMP's d_k) stays honest.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from fedbench.federation.local import LocalWork
from fedbench.federation.schedule import FaultDraws
from fedbench.federation.updates import Updates, clients_of
from fedbench.rng import torch_stream

HUGE = 1e6
"""How many times longer a huge update is than the honest one."""


@dataclass(frozen=True)
class FaultModel(FaultDraws):
    """The faults of one run over ``clients`` clients."""

    def poisoned(self, work: Sequence[LocalWork], label_flip_offset: int) -> list[LocalWork]:
        """Label-flip attackers train on their examples' wrongly labelled label_flip_offset,
        ``label_flip_offset`` further on."""
        if self.spec.attack != "label-flip":
            return list(work)
        return [
            replace(item, examples=item.examples + label_flip_offset)
            if item.client in self.byzantine
            else item
            for item in work
        ]

    def tampered(self, round: int, updates: Updates) -> Updates:
        """What arrives of what was sent: attackers' and corrupted updates instead of the honest ones."""
        clients, length = clients_of(updates), self.spec.strength
        corrupted = self.corrupted(round, clients)
        if not corrupted and self.byzantine.isdisjoint(clients):
            return updates
        params = updates["params"].clone()
        for row, client in enumerate(clients):
            start = updates["start"][row]
            update = params[row] - start
            if client in self.byzantine and self.spec.attack == "sign-flip":
                params[row] = start - length * update
            elif client in self.byzantine and self.spec.attack == "gaussian":
                noise = self._noise(round, client, update)
                params[row] = start + length * update.norm() * noise / noise.norm()
        for client, kind in corrupted.items():
            row = clients.index(client)
            params[row] = CORRUPTIONS[kind](params[row], updates["start"][row])
        return {**updates, "params": params}

    def tampered_rewards(self, step: int, client: int, rewards: Tensor) -> Tensor:
        """What arrives of a client's rewards [n] in a policy step: an attacker's or corrupted ones."""
        length = self.spec.strength
        if client in self.byzantine and self.spec.attack == "sign-flip":
            rewards = -length * rewards
        elif client in self.byzantine and self.spec.attack == "gaussian":
            rewards = length * self._noise(step, client, rewards)
        for kind in self.corrupted(step, [client]).values():
            rewards = CORRUPTIONS[kind](rewards, torch.zeros_like(rewards))
        return rewards

    def _noise(self, round: int, client: int, like: Tensor) -> Tensor:
        stream = torch_stream(self.seed, "faults", "gaussian", round, client)
        return torch.randn(like.shape, generator=stream).to(like)


CORRUPTIONS: dict[str, Callable[[Tensor, Tensor], Tensor]] = {
    "nan": lambda params, start: torch.full_like(params, torch.nan),
    "inf": lambda params, start: torch.full_like(params, torch.inf),
    "huge": lambda params, start: start + HUGE * (params - start),
}
