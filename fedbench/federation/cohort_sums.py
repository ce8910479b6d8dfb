"""What a method that needs sums only is given of a cohort."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from torch import Generator, Tensor

from fedbench.api.cohort import Cohort
from fedbench.params import ParamSpace


@dataclass(frozen=True, slots=True)
class CohortSums:
    """A :class:`fedbench.CohortSum` without any client's own values."""

    round: int
    clients: tuple[int, ...]
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
