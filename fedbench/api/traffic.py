"""What travels between the server and its clients, as a method declares it and the engine bills it."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from math import prod
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from fedbench.params import ParamSpace

Shape = tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Traffic:
    """The named tensors that travel in a round; what is not named here can't be read on the other side.

    A projector whose last layer stays with its client, and a number that each client sends beside the rest:

    >>> from fedbench import ParamSpace, Traffic
    >>> space = ParamSpace({"up.weight": (7, 5), "up.bias": (7,), "down.weight": (4, 7), "down.bias": (4,)})
    >>> traffic = Traffic(params=["up.weight", "up.bias"], up={"gap": ()})
    >>> traffic.numbers_down(space), traffic.numbers_up(space)
    ({'params': 42}, {'params': 42, 'gap': 1})
    """

    params: Collection[str] | None = None
    """Names of the trained tensors that go down before local training and up after it; None: all of them.
    The others stay with their client, which then has a model of its own."""
    params_down: Collection[str] | None = None
    """Names of the tensors of ``params`` that go down; None: all of them. The others every client can make
    itself, such as a start that follows from the seed."""
    turns: Sequence[Collection[str]] = ()
    """Parts of ``params``, one of which is trained and goes up in a round, in turn; what is in no part does
    so in every round. A client is sent what has changed since it last took part, at first everything."""
    down: Mapping[str, Shape] = field(default_factory=dict)
    """Shapes of the tensors of the server's state, by name, that each client receives beside the parameters,
    as ``Clients.received``."""
    up: Mapping[str, Shape] = field(default_factory=dict)
    """Shapes of what each client sends beside the parameters, by name, as ``Cohort.sent``; ``()`` is one
    number."""

    def numbers_down(self, space: ParamSpace) -> dict[str, int]:
        """How many numbers each client receives in a round, by name, of the parameters ``space``."""
        return self._numbers(space, self.params if self.params_down is None else self.params_down, self.down)

    def numbers_up(self, space: ParamSpace) -> dict[str, int]:
        """How many numbers each client sends in a round, by name, of the parameters ``space``."""
        return self._numbers(space, self.params, self.up)

    @staticmethod
    def _numbers(
        space: ParamSpace, params: Collection[str] | None, beside: Mapping[str, Shape]
    ) -> dict[str, int]:
        names = space.shapes if params is None else params
        numbers = {"params": sum(prod(space.shapes[name]) for name in names)}
        return {name: count for name, count in numbers.items() if count} | {
            name: prod(shape) for name, shape in beside.items()
        }
