"""What a scenario measures where it doesn't say so itself: it follows from the suites that its data has."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from fedbench.api.scenario import Evaluation, Scenario
from fedbench.api.specs import MetricSpec
from fedbench.errors import UsageError
from fedbench.registry import Entry, Registry
from fedbench.resolution import ResolvedPart

CORE = "fedbench.builtins"
"""The module of the plugin whose metrics are taken first."""


def with_evaluation(scenario: Scenario, data: ResolvedPart, metrics: Registry[MetricSpec]) -> Scenario:
    """Copy ``scenario`` with a complete evaluation; the same one if it is complete.

    Raises :class:`UsageError` where the data set doesn't say which suites it will have.
    """
    given = scenario.evaluation
    if given.complete:
        return scenario
    suites = data.suites()
    if not suites:
        missing = [
            key for key in ("primary", "metrics", "each_round", "final") if key not in given.model_fields_set
        ]
        raise UsageError(
            f"missing key 'evaluation.{missing[0]}'",
            why=f"data {data.entry.name!r} does not say which suites it has, so nothing follows from them",
            fix=f"give evaluation {', '.join(missing)}",
        )
    if "each_round" in given.model_fields_set:
        each_round = given.each_round
    else:
        each_round = (given.primary.rpartition("/")[0],) if given.primary else (next(iter(suites)),)
    final = given.final if "final" in given.model_fields_set else tuple(suites)
    names = given.metrics
    if "metrics" not in given.model_fields_set:
        forms = dict.fromkeys(suites[key] for key in (*each_round, *final) if key in suites)
        names = tuple(name for form in forms for name in usual(form, metrics))
    primary = given.primary or _first_value(each_round[:1], suites, [metrics[name] for name in names])
    return scenario.evaluated(
        Evaluation(
            primary=primary, metrics=names, each_round=each_round, final=final, controls=given.controls
        )
    )


def usual(form: str, metrics: Registry[MetricSpec]) -> list[str]:
    """Name the metrics that score suites of ``form`` where nothing is said: the core's, or else the only one.

    Others come and go with what is installed. Raises :class:`UsageError` if there are several.
    """
    fitting = [entry for entry in metrics.entries if entry.spec.form == form]
    core = [entry for entry in fitting if entry.plugin.module == CORE]
    if not core and len(fitting) != 1:
        names = ", ".join(entry.name for entry in fitting) or "none"
        raise UsageError(
            f"which metric is for the form {form!r}", why=f"there are: {names}", fix="name evaluation.metrics"
        )
    return [entry.name for entry in core or fitting]


def _first_value(keys: Sequence[str], suites: Mapping[str, str], metrics: Sequence[Entry[MetricSpec]]) -> str:
    """The first value that a metric gives of the suite in ``keys``."""
    for key in keys:
        for entry in metrics:
            if entry.spec.form == suites.get(key):
                return f"{key}/{entry.spec.values[0]}"
    named = ", ".join(keys) or "none"
    raise UsageError(
        "no primary measure follows from evaluation.each_round and evaluation.metrics",
        why=f"each round's first suite is {named}; the data has {', '.join(suites)}",
        fix="name evaluation.primary",
    )
