"""What arrives at the server in a round: every client's update, or only their sums."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Protocol

from fedbench.api.adapters import rank_masks
from fedbench.api.column_blocks import IN_CACHE, column_blocks

if TYPE_CHECKING:
    import torch
    from torch import Tensor

    from fedbench.params import ParamSpace


class CohortSum(Protocol):
    """What a method that declares ``needs = "sum"`` is given: sums over the cohort, nobody's own values.

    A :class:`Cohort` is one, too.

    >>> from fedbench.testing import example_cohort
    >>> cohort = example_cohort(clients=3)
    >>> cohort.mean("params").shape == (cohort.space.size,)  # FedAvg
    True
    """

    @property
    def round(self) -> int:
        """The round's number, from 1."""
        ...

    @property
    def clients(self) -> tuple[int, ...]:
        """The clients whose updates are in the sums, ascending."""
        ...

    @property
    def ranks(self) -> tuple[int, ...]:
        """The rank of each client's adapters, where they differ; else empty."""
        ...

    @property
    def space(self) -> ParamSpace:
        """Names and shapes of the parameters that travel, S numbers."""
        ...

    @property
    def stream(self) -> Callable[..., torch.Generator]:
        """``stream(*names)``: a random generator of this round, the same in every run of the seed."""
        ...

    def mean(self, name: str, *, per_step: bool = False) -> Tensor:
        """Σ_k p_k v_k, p_k = n_k / Σ n, of the values v_k that are called ``name``.

        These are ``"params"`` y_k [S], ``"updates"`` Δ_k = y_k − x [S], ``"steps"`` τ_k (a number) and
        whatever else each client sends by :attr:`Traffic.up`. With ``per_step`` each is divided by τ_k first.
        Where ranks differ, each number is averaged over the clients that have it, and 0 if none does.
        """
        ...

    def sum(self, name: str) -> Tensor:
        """Σ_k v_k of the values that are called ``name``, as :meth:`mean` takes it."""
        ...


@dataclass(frozen=True, slots=True)
class Cohort:
    """The updates that arrived in a round, in the order of client ids; never empty.

    >>> from fedbench.testing import example_cohort
    >>> cohort = example_cohort(clients=3)
    >>> cohort.num_examples.tolist(), [round(w, 3) for w in cohort.weights.tolist()]
    ([1, 2, 3], [0.167, 0.333, 0.5])
    >>> median = cohort.by_columns(lambda block: block.median(dim=0).values)
    >>> median.shape == (cohort.space.size,)
    True
    """

    round: int
    """The round's number, from 1."""
    clients: tuple[int, ...]
    """Whose update each row is."""
    params: Tensor
    """[C, S]: the parameters that travel, after local training."""
    start: Tensor
    """[C, S]: the same before it, as broadcast."""
    num_examples: Tensor
    """[C]: the examples that each client trained on."""
    steps: Tensor
    """[C]: the optimiser steps that each client took."""
    space: ParamSpace
    """Names and shapes of the parameters that travel, to see [C, S] as matrices [C, out, in]."""
    stream: Callable[..., torch.Generator]
    """``stream(*names)``: a random generator of this round, the same in every run of the seed."""
    sent: Mapping[str, Tensor] = field(default_factory=dict)
    """``sent[name]`` [C, *shape]: what each client sent beside its parameters, see :attr:`Traffic.up`."""
    ranks: tuple[int, ...] = ()
    """[C]: the rank of each client's adapters, where they differ between the scenario's clients; else empty.
    In the place of what a client has not got, ``params`` and ``start`` are 0."""

    def __post_init__(self) -> None:
        if not self.clients:
            raise ValueError("a cohort without clients has nothing to merge")

    @property
    def updates(self) -> Tensor:
        """Δ_k = y_k − x, [C, S]: a matrix as large as ``params``, made anew; :meth:`blocks` needs none."""
        return self.params - self.start

    @property
    def weights(self) -> Tensor:
        """p_k = n_k / Σ n over the cohort, [C]."""
        share = self.num_examples.double()
        return (share / share.sum()).to(self.params.dtype)

    def blocks(self, name: str = "params", numbers: int = IN_CACHE) -> Iterator[tuple[slice, Tensor]]:
        """Column blocks of ``"params"`` or ``"updates"`` [C, S]: the columns, and their values [C, w].

        The way to work on a large cohort: nothing of size [C, S] is made. Of about ``numbers`` numbers each,
        see :func:`fedbench.column_blocks`. A block of ``"params"`` is a view: don't change it.

        >>> import torch
        >>> from fedbench.testing import example_cohort
        >>> cohort = example_cohort(clients=3)
        >>> norms = sum(block.double().square().sum(1) for _, block in cohort.blocks("updates"))
        >>> torch.allclose(norms, cohort.updates.double().square().sum(1))
        True
        """
        if name not in ("params", "updates"):
            raise ValueError(f"only params and updates are read in column blocks, not {name!r}")
        for columns in column_blocks(len(self.params), self.params.shape[1], numbers):
            values = self.params[:, columns]
            yield columns, values if name == "params" else values - self.start[:, columns]

    def by_columns(self, rule: Callable[[Tensor], Tensor], name: str = "params") -> Tensor:
        """``rule`` of each column block [C, w], in order, which gives [w], put together: [S].

        >>> from fedbench.testing import example_cohort
        >>> cohort = example_cohort(clients=3)
        >>> cohort.by_columns(lambda block: block.median(dim=0).values).shape == (cohort.space.size,)
        True
        """
        together = self.params.new_empty(self.params.shape[1])
        for columns, block in self.blocks(name):
            together[columns] = rule(block)
        return together

    def mean(self, name: str, *, per_step: bool = False) -> Tensor:
        """Average what is called ``name`` with the weights p_k, as :meth:`CohortSum.mean` says."""
        weights = self.weights
        if per_step:
            weights = weights / self.steps.to(weights.dtype)
        if self.ranks and name in ("params", "updates"):
            values = self.params if name == "params" else self.updates
            share = self.weights @ rank_masks(self.space, self.ranks).to(values)
            return (weights @ values) / share.where(share > 0, 1)
        if name == "updates":
            return self.by_columns(lambda block: weights @ block, name)
        values = self._values(name)
        mean: Tensor = weights @ (values if values.ndim <= 2 else values.flatten(1))
        return mean if values.ndim <= 2 else mean.unflatten(0, values.shape[1:])

    def sum(self, name: str) -> Tensor:
        """Add up what is called ``name``, as :meth:`CohortSum.sum` says."""
        if name == "updates":
            return self.by_columns(lambda block: block.sum(0), name)
        return self._values(name).sum(0)

    def _values(self, name: str) -> Tensor:
        """What is called ``name``, [C, ...]."""
        match name:
            case "params":
                return self.params
            case "steps":
                return self.steps.to(self.params.dtype)
            case _:
                return self.sent[name].to(self.params.dtype)
