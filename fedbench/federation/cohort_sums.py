"""What a method that needs sums only is given of a cohort."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Generator, Tensor

from fedbench.api.cohort import Cohort
from fedbench.params import ParamSpace

EXAMPLES, PER_STEP, ONES = range(3)
"""The weights of the sums that are kept: n_k, n_k / τ_k and 1."""


@dataclass(frozen=True, slots=True)
class CohortSums:
    """A :class:`fedbench.CohortSum` without any client's own values."""

    round: int
    clients: tuple[int, ...]
    ranks: tuple[int, ...]
    space: ParamSpace
    stream: Callable[..., Generator]
    _mean: Callable[[str, bool], Tensor]
    _sum: Callable[[str], Tensor]

    @classmethod
    def of(cls, cohort: Cohort) -> CohortSums:
        """The sums over ``cohort``, computed when they are asked for."""
        return cls(
            round=cohort.round,
            clients=cohort.clients,
            ranks=cohort.ranks,
            space=cohort.space,
            stream=cohort.stream,
            _mean=lambda name, per_step: cohort.mean(name, per_step=per_step),
            _sum=lambda name: cohort.sum(name),
        )

    def mean(self, name: str, *, per_step: bool = False) -> Tensor:
        """The weighted mean of what is called ``name``."""
        return self._mean(name, per_step)

    def sum(self, name: str) -> Tensor:
        """The sum of what is called ``name``."""
        return self._sum(name)


class RunningSums:
    """The sums over a cohort that comes in parts, each of which may be forgotten once it is added.

    The memory is that of a few vectors, whatever the number of clients. Sums are in float64, so that what the
    parts are changes them by less than a float32 can show.
    """

    def __init__(self, round: int, space: ParamSpace, stream: Callable[..., Generator]) -> None:
        self.round, self.space, self.stream = round, space, stream
        self.clients: tuple[int, ...] = ()
        self._sums: dict[str, Tensor] = {}
        self._dtype = torch.float32

    def add(self, part: Cohort) -> None:
        """Add some clients' updates."""
        self.clients = tuple(sorted((*self.clients, *part.clients)))
        self._dtype = part.params.dtype
        for name, sums in _weighted(part).items():
            self._sums[name] = self._sums[name] + sums if name in self._sums else sums

    def cohort(self) -> CohortSums:
        """What a method is given of all that was added, which must be something."""
        sums, dtype = self._sums, self._dtype
        examples = sums["num_examples"][ONES]
        return CohortSums(
            round=self.round,
            clients=self.clients,
            ranks=(),
            space=self.space,
            stream=self.stream,
            _mean=lambda name, per_step: (sums[name][PER_STEP if per_step else EXAMPLES] / examples).to(
                dtype
            ),
            _sum=lambda name: sums[name][ONES].to(dtype),
        )


def _weighted(part: Cohort) -> dict[str, Tensor]:
    """By name, the sums [3, ...] of a part's values with each of the three weights, in float64."""
    counts, steps = part.num_examples.double(), part.steps.double()
    weights = torch.stack([counts, counts / steps, torch.ones_like(counts)])
    values = {"num_examples": counts, "steps": steps, **part.sent}
    sums = {name: torch.tensordot(weights, value.double(), dims=1) for name, value in values.items()}
    return sums | {name: _by_columns(weights, part, name) for name in ("params", "updates")}


def _by_columns(weights: Tensor, part: Cohort, name: str) -> Tensor:
    """``weights`` [3, C] times the part's matrix [C, S], which is not copied as a whole."""
    sums = weights.new_empty(len(weights), part.space.size)
    for columns, block in part.blocks(name):
        sums[:, columns] = weights @ block.double()
    return sums
