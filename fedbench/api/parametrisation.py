"""Another parametrisation of the model: what clients train and send in its place."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from torch import Tensor

    from fedbench.params import ParamSpace


class Parametrisation(Protocol):
    """How a model's parameters [P] follow from the Q numbers that are trained and travel; see
    :meth:`Aggregator.parametrisation`. Everything but these is the same for all and fixed by the seed.

    Half of the parameters trained, the others as they were:

    >>> import torch
    >>> from fedbench import ParamSpace
    >>> class FirstHalf:
    ...     def __init__(self, params):
    ...         self.space = ParamSpace({"half": (len(params) // 2,)})
    ...         self.rest = params[len(params) // 2 :]
    ...     def initial(self, params):
    ...         return params[: self.space.size]
    ...     def expand(self, params):
    ...         return torch.cat([params, self.rest.expand(*params.shape[:-1], -1)], dim=-1)
    >>> half = FirstHalf(torch.arange(6.0))
    >>> half.expand(half.initial(torch.arange(6.0)))
    tensor([0., 1., 2., 3., 4., 5.])
    """

    @property
    def space(self) -> ParamSpace:
        """Names and shapes of what is trained, Q numbers."""
        ...

    def initial(self, params: Tensor) -> Tensor:
        """What is trained at first, [Q], where the model's parameters are ``params`` [P]."""
        ...

    def expand(self, params: Tensor) -> Tensor:
        """The model's parameters [..., P] of what is trained, [..., Q]; differentiable."""
        ...
