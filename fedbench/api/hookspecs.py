"""Every hook a plugin can implement. A plugin is a module named in the entry-point group ``fedbench``::

    # my_package/hooks.py — keep it light: no torch here
    from fedbench import MethodSpec, hookimpl

    @hookimpl
    def fedbench_register_methods():
        yield MethodSpec(
            name="my-method", track="alignment", factory="my_package.method:MyMethod",
            summary="what it does in a line",
        )

    # pyproject.toml
    [project.entry-points.fedbench]
    my-package = "my_package.hooks"

Registration hooks return specs; observation hooks receive one frozen event and can't change a number.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

import pluggy

from fedbench.api.events import PolicyStep, RoundEnd, RunEnd, RunError, RunStart
from fedbench.api.specs import (
    BackboneSpec,
    DatasetSpec,
    LeaderboardSpec,
    MethodSpec,
    MetricSpec,
    PartitionerSpec,
    PublisherSpec,
    ScenarioSpec,
)

if TYPE_CHECKING:
    import click

PROJECT = "fedbench"
hookspec = pluggy.HookspecMarker(PROJECT)
hookimpl = pluggy.HookimplMarker(PROJECT)


@hookspec
def fedbench_register_methods() -> Iterable[MethodSpec]:  # type: ignore[empty-body]
    """Methods for ``--method``: aggregators (alignment) or reward fusers (preference)."""


@hookspec
def fedbench_register_scenarios() -> Iterable[ScenarioSpec]:  # type: ignore[empty-body]
    """Scenario files for ``--scenario``."""


@hookspec
def fedbench_register_backbones() -> Iterable[BackboneSpec]:  # type: ignore[empty-body]
    """Frozen vision encoder and LLM pairs that scenarios name."""


@hookspec
def fedbench_register_datasets() -> Iterable[DatasetSpec]:  # type: ignore[empty-body]
    """Data sets that scenarios name."""


@hookspec
def fedbench_register_partitioners() -> Iterable[PartitionerSpec]:  # type: ignore[empty-body]
    """Ways to deal data to clients."""


@hookspec
def fedbench_register_metrics() -> Iterable[MetricSpec]:  # type: ignore[empty-body]
    """Metrics over evaluation items."""


@hookspec
def fedbench_register_leaderboards() -> Iterable[LeaderboardSpec]:  # type: ignore[empty-body]
    """Leaderboard definitions."""


@hookspec
def fedbench_register_publishers() -> Iterable[PublisherSpec]:  # type: ignore[empty-body]
    """Targets of ``fedbench leaderboard publish``."""


@hookspec
def fedbench_register_commands(cli: click.Group) -> None:
    """Add sub-commands to the ``fedbench`` command."""


@hookspec
def fedbench_run_start(event: RunStart) -> None:
    """A run is about to begin."""


@hookspec
def fedbench_round_end(event: RoundEnd) -> None:
    """A round is complete: evaluated, checkpointed and logged."""


@hookspec
def fedbench_policy_step(event: PolicyStep) -> None:
    """The server made one policy step (preference track)."""


@hookspec
def fedbench_run_end(event: RunEnd) -> None:
    """The record is on disk."""


@hookspec
def fedbench_run_error(event: RunError) -> None:
    """The run failed; the error is about to be raised."""
