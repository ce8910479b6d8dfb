"""Every hook that a plugin can implement; ``docs/hooks.md`` has an example of each.

A plugin is a module that a package names in the entry-point group ``fedbench``; it implements hooks as
functions of the same name. Registration hooks return specs, observation hooks receive one frozen event.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

import pluggy

from fedbench.api.events import PolicyStep, RoundEnd, RunEnd, RunError, RunStart
from fedbench.api.specs import (
    BackboneSpec,
    DatasetSpec,
    FormSpec,
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
"""Marks a function of this module as a hook."""
hookimpl = pluggy.HookimplMarker(PROJECT)
"""Marks a plugin's function as the implementation of the hook of the same name.

>>> from fedbench import MethodSpec, hookimpl
>>> @hookimpl
... def fedbench_register_methods():
...     yield MethodSpec(
...         name="my-method",
...         track="alignment",
...         factory="my_method.method:MyMethod",
...         summary="what it does in a line",
...     )
"""


@hookspec
def fedbench_register_methods() -> Iterable[MethodSpec]:  # type: ignore[empty-body]
    """Methods for ``--method``: aggregators, or reward fusers on the preference track.

    Called once by the catalog, when a command first looks for methods.
    """


@hookspec
def fedbench_register_scenarios() -> Iterable[ScenarioSpec]:  # type: ignore[empty-body]
    """Scenario files for ``--scenario``.

    Called once by the catalog, when a command first looks for scenarios. A file is read when it is used.
    """


@hookspec
def fedbench_register_backbones() -> Iterable[BackboneSpec]:  # type: ignore[empty-body]
    """Frozen vision encoders and LLMs that scenarios name.

    Called once by the catalog, when a scenario is checked or a command lists backbones.
    """


@hookspec
def fedbench_register_datasets() -> Iterable[DatasetSpec]:  # type: ignore[empty-body]
    """Data sets that scenarios name.

    Called once by the catalog, when a scenario is checked or a command lists data sets.
    """


@hookspec
def fedbench_register_partitioners() -> Iterable[PartitionerSpec]:  # type: ignore[empty-body]
    """Ways to deal data to clients that scenarios name.

    Called once by the catalog, when a scenario is checked or a command lists partitioners.
    """


@hookspec
def fedbench_register_forms() -> Iterable[FormSpec]:  # type: ignore[empty-body]
    """Forms of evaluation items: how a model is asked, and what metrics see of its answers.

    Called once by the catalog, when a scenario is checked or a command lists forms or metrics.
    """


@hookspec
def fedbench_register_metrics() -> Iterable[MetricSpec]:  # type: ignore[empty-body]
    """Metrics over evaluation items that scenarios name.

    Called once by the catalog, when a scenario is checked or a command lists metrics.
    """


@hookspec
def fedbench_register_leaderboards() -> Iterable[LeaderboardSpec]:  # type: ignore[empty-body]
    """Definitions of boards for ``fedbench leaderboard``.

    Called once by the catalog, when a leaderboard command first looks for boards.
    """


@hookspec
def fedbench_register_publishers() -> Iterable[PublisherSpec]:  # type: ignore[empty-body]
    """Kinds of targets for ``fedbench leaderboard publish --to NAME:TARGET``.

    Called once by the catalog, when that command names a target.
    """


@hookspec
def fedbench_register_commands(cli: click.Group) -> None:
    """Add sub-commands to the ``fedbench`` command.

    Called once by the command line, when the name given is no command of fedbench's own, or help is shown.
    """


@hookspec
def fedbench_run_start(event: RunStart) -> None:
    """A run is about to begin, or to be resumed.

    Called once by the runner in each attempt, after data, backbone and method are ready.
    """


@hookspec
def fedbench_round_end(event: RoundEnd) -> None:
    """A round is complete.

    Called by the runner for the start (round 0) and after each round, once it is evaluated, checkpointed and
    logged.
    """


@hookspec
def fedbench_policy_step(event: PolicyStep) -> None:
    """The server made one policy step (preference track).

    Called by the runner after each step. Steps since the last checkpoint are repeated when a run is resumed.
    """


@hookspec
def fedbench_run_end(event: RunEnd) -> None:
    """A run has ended and its record is on disk.

    Called once by the runner in each attempt, also for one that failed or was cancelled.
    """


@hookspec
def fedbench_run_error(event: RunError) -> None:
    """A run failed; the error is about to be raised.

    Called once by the runner, after ``fedbench_run_end`` with status ``failed``. Not called on Ctrl-C.
    """
