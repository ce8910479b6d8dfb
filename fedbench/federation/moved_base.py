"""How far a method has moved the frozen base, and what each client has not been sent of that."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from math import prod

from torch import Tensor

from fedbench.federation.bill import owed
from fedbench.params import ParamSpace

Factors = Mapping[str, tuple[Tensor, Tensor]]
"""By the linear's path: B [O, R] and A [R, I] of a move B A, without the adapters' scale."""


@dataclass(frozen=True)
class MovedBase:
    """The moves of the rounds so far, added up; empty for a method that moves nothing.

    A client that takes part is sent the moves since it last did, as factors, or the whole sums if these are
    smaller.
    """

    offset: Mapping[str, Tensor] = field(default_factory=dict)
    """Σ B A by path, [O, I]."""
    numbers: int = 0
    """How many numbers all moves together are, sent as factors."""
    sent: Mapping[int, int] = field(default_factory=dict)
    """By client: of these, how many it had been offered when it last took part."""

    def owed(self, client: int, bases: ParamSpace) -> int:
        """Count the numbers that ``client`` is sent when it takes part now."""
        return owed(self.numbers, self.sent.get(client, 0), bases.size if self.offset else 0)

    def sent_to(self, clients: Sequence[int]) -> MovedBase:
        """The same after ``clients`` were sent what they had not got."""
        if not self.numbers:
            return self
        return replace(self, sent={**self.sent, **dict.fromkeys(clients, self.numbers)})

    def after(self, update: Factors, bases: ParamSpace) -> MovedBase:
        """The same after another move; ValueError for one that does not fit the base."""
        if not update:
            return self
        if strange := sorted(set(update) - set(bases.shapes)):
            raise ValueError(f"it moves weights that have no adapter: {', '.join(strange)}")
        offset = dict(self.offset)
        for path, (b, a) in update.items():
            if (len(b), a.shape[1]) != bases.shapes[path] or b.shape[1] != len(a):
                raise ValueError(f"it moves {path} by {list(b.shape)} times {list(a.shape)}")
            move = (b.double() @ a.double()).to(b.dtype)
            offset[path] = offset[path] + move if path in offset else move
        return replace(self, offset=offset, numbers=self.numbers + numbers_of(update))


def numbers_of(update: Factors) -> int:
    """Count the numbers that a move takes to send: as factors, or whole where that is less."""
    return sum(min(b.numel() + a.numel(), prod((len(b), a.shape[1]))) for b, a in update.values())
