"""What a scenario measures where it doesn't say so itself: it follows from the suites that its data has."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from fedbench.api.scenario import Evaluation, Scenario
from fedbench.api.specs import FormSpec, MetricSpec
from fedbench.errors import UsageError
from fedbench.registry import Entry, Registry
from fedbench.resolution import ResolvedPart


def with_evaluation(
    scenario: Scenario, data: ResolvedPart, forms: Registry[FormSpec], metrics: Registry[MetricSpec]
) -> Scenario:
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
        asked = dict.fromkeys(suites[key] for key in (*each_round, *final) if key in suites)
        names = tuple(dict.fromkeys(usual(form, forms, metrics) for form in asked))
    primary = given.primary or _first_value(each_round[:1], suites, [metrics[name] for name in names])
    return scenario.evaluated(
        Evaluation(
            primary=primary, metrics=names, each_round=each_round, final=final, controls=given.controls
        )
    )


def usual(form: str, forms: Registry[FormSpec], metrics: Registry[MetricSpec]) -> str:
    """Name the metric that scores suites of ``form`` where nothing is said: its own, or else the only one.

    Others come and go with what is installed. Raises :class:`UsageError` if there are several.
    """
    fitting = [entry.name for entry in metrics.entries if entry.spec.form == form]
    name = forms[form].spec.metric or (fitting[0] if len(fitting) == 1 else "")
    if not name:
        why = f"there are: {', '.join(fitting) or 'none'}"
        raise UsageError(f"no metric follows from the form {form!r}", why=why, fix="name evaluation.metrics")
    return name


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
