"""What every alignment method promises, as a class of tests; and a cohort to call ``aggregate`` with."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from functools import cache
from typing import Any, ClassVar

import torch
from safetensors.torch import load, save

from fedbench.api.aggregator import Aggregator, Context
from fedbench.api.cohort import Cohort
from fedbench.api.options import validated
from fedbench.api.specs import MethodSpec
from fedbench.api.traffic import Traffic
from fedbench.catalog import Catalog
from fedbench.federation.division import Division
from fedbench.federation.reparametrised import reparametrised
from fedbench.params import ParamSpace
from fedbench.plugins import Plugins
from fedbench.registry import Entry
from fedbench.rng import torch_stream
from fedbench.testing.toy import ToyTask, toy_rounds

EVERYTHING = Traffic()


@cache
def installed() -> Catalog:
    """The installed plugins; a broken one is an error here."""
    return Catalog(Plugins(strict=True))


def created(method: str, options: Mapping[str, Any] | None = None) -> Any:
    """The method called ``method`` under ``options``, made as a run would make it."""
    entry = installed().methods[method]
    return entry.create(validated(entry.options, options or {}, f"method {method!r}"))


def make(method: str, options: Mapping[str, Any] | None = None) -> Aggregator:
    """The alignment method called ``method``."""
    aggregator: Aggregator = created(method, options)
    return aggregator


def example_cohort(
    clients: int = 4,
    round: int = 1,
    seed: int = 0,
    traffic: Traffic = EVERYTHING,
    space: ParamSpace | None = None,
) -> Cohort:
    """A cohort of random updates from one start, with 1, 2, 3, … examples; what ``traffic`` declares of it,
    of parameters ``space`` (a toy projector's when None).

    >>> from fedbench.testing import example_cohort
    >>> example_cohort(clients=3).num_examples.tolist()
    [1, 2, 3]
    """
    space, generator = space or ToyTask().space, torch_stream(seed, "cohort", round)
    start = torch.randn(space.size, generator=generator)
    params = start + 0.1 * torch.randn(clients, space.size, generator=generator)
    division = Division(space, traffic.params)
    return Cohort(
        round=round,
        clients=tuple(range(clients)),
        params=division.sent(params),
        start=division.sent(start).repeat(clients, 1),
        num_examples=torch.arange(1, clients + 1),
        steps=torch.full((clients,), 3),
        sent={name: torch.rand(clients, *shape, generator=generator) for name, shape in traffic.up.items()},
        space=division.travelling,
        stream=lambda *names: torch_stream(seed, "method", round, *names),
    )


def _reversed(cohort: Cohort) -> Cohort:
    """The same cohort with its clients in reverse order."""
    return replace(
        cohort,
        clients=tuple(reversed(cohort.clients)),
        params=cohort.params.flip(0),
        start=cohort.start.flip(0),
        num_examples=cohort.num_examples.flip(0),
        steps=cohort.steps.flip(0),
        sent={name: values.flip(0) for name, values in cohort.sent.items()},
    )


class AggregatorContract:
    """What every alignment method promises, as tests. Subclass it in a test module of pytest.

    >>> from fedbench.testing import AggregatorContract
    >>> class TestMyMethod(AggregatorContract):
    ...     method = "my-method"  # as its MethodSpec calls it; the plugin must be installed
    >>> [name for name in dir(TestMyMethod) if name.startswith("test_same")]
    ['test_same_seed_same_bits']
    """

    method: ClassVar[str]
    """The method's name."""
    options: ClassVar[Mapping[str, Any]] = {}
    """Options to test it under; the others at their defaults."""
    task: ClassVar[ToyTask] = ToyTask()
    """What it is tested on; a method that merges adapters needs a :class:`fedbench.testing.ToyAdapters`."""

    @property
    def entry(self) -> Entry[MethodSpec]:
        """The method's spec and the plugin that provides it."""
        return installed().methods[self.method]

    def aggregator(self) -> Aggregator:
        """The method, made anew."""
        return make(self.method, self.options)

    def test_spec_is_complete(self) -> None:
        """It has a summary and a track, and each of its options a description."""
        spec = self.entry.spec
        assert spec.summary and spec.track in ("alignment", "any")
        assert all(field.description for field in self.entry.options.model_fields.values())

    def test_same_seed_same_bits(self) -> None:
        """Two runs of one seed give the same parameters, bit by bit."""
        first, second = (toy_rounds(self.aggregator(), task=self.task, seed=3) for _ in range(2))
        assert [r.digest for r in first] == [r.digest for r in second]

    def test_state_is_finite_named_tensors_and_survives_a_checkpoint(self) -> None:
        """A run resumed from a saved state goes on bit by bit; nothing is kept beside it."""
        rounds = toy_rounds(self.aggregator(), task=self.task, rounds=4)
        after = rounds[1].after
        state, client_state = (
            load(save({name: tensor.contiguous() for name, tensor in tensors.items()}))
            for tensors in (after.state, after.client_state)
        )
        at = replace(after, state=state, client_state=client_state)
        resumed = toy_rounds(self.aggregator(), task=self.task, rounds=4, resume=at)
        assert [r.digest for r in resumed] == [r.digest for r in rounds[2:]]
        for tensor in rounds[-1].after.state.values():
            assert tensor.isfinite().all()

    def test_batched_clients_equal_serial_ones(self) -> None:
        """Clients trained together end where they end when trained one by one, up to rounding."""
        serial, batched = (
            toy_rounds(self.aggregator(), task=self.task, chunk=chunk)[-1].after for chunk in (1, 3)
        )
        for name in ("state", "client_state"):
            torch.testing.assert_close(
                dict(vars(batched)[name]), dict(vars(serial)[name]), rtol=1e-5, atol=1e-5
            )

    def test_order_of_reporting_does_not_matter(self) -> None:
        """The order of the rows of a cohort changes no parameter, up to rounding."""
        task, _ = reparametrised(self.task, self.aggregator(), self.task.init(), 0)
        cohort = example_cohort(traffic=self.aggregator().traffic(task.space), space=task.space)
        results = []
        for given in (cohort, _reversed(cohort)):
            aggregator = self.aggregator()
            state = aggregator.initial_state(cohort.start[0], Context(cohort.space, 4, 3))
            results.append(aggregator.params_for(aggregator.aggregate(state, given)))
        torch.testing.assert_close(*results, rtol=0, atol=1e-6)

    def test_partial_cohorts_of_varying_size(self) -> None:
        """It works when only some clients take part in a round."""
        rounds = toy_rounds(self.aggregator(), task=self.task, clients=5, cohort=2, rounds=4)
        assert all(tensor.isfinite().all() for tensor in rounds[-1].after.state.values())

    def test_declared_reductions_hold(self) -> None:
        """Every :class:`Reduction` that its spec declares is true on a toy task."""
        for reduction in self.entry.spec.reductions:
            mine = toy_rounds(make(self.method, reduction.options), task=self.task)[-1]
            other = toy_rounds(make(reduction.equals, reduction.equals_options), task=self.task)[-1]
            if reduction.tolerance == 0:
                assert mine.digest == other.digest, reduction
            torch.testing.assert_close(
                mine.after.state["params"], other.after.state["params"], rtol=0, atol=reduction.tolerance
            )
