"""Checks of a data set, before anything is encoded or trained, for what a run would fail on or bend."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from fedbench.api.scenario import Scenario
from fedbench.api.specs import FormSpec, MetricSpec
from fedbench.data.items import FederatedData
from fedbench.data.problems import data_problems
from fedbench.errors import UsageError
from fedbench.registry import Registry


def check_data(data: FederatedData, title: str, forms: Registry[FormSpec]) -> None:
    """Refuse data that can't be used as it is, in a line that names the first entry that is at fault.

    ``title`` says whose the data is. Texts are texts, images are there, an item is one that its suite's form,
    one of ``forms``, can ask, labels have a value, and no image that clients learn from is asked about.
    """
    problem = next(data_problems(data, forms), None)
    if problem:
        raise UsageError(
            f"{title} can't be used",
            why=problem,
            fix="mend the data set; `fedbench data check` on the scenario lists all that is wrong",
        )


def check_evaluation(
    scenario: Scenario, data: FederatedData, metrics: Sequence[MetricSpec], forms: Registry[FormSpec]
) -> None:
    """Refuse suites that are missing, empty or of a form that no metric is for, metrics that overwrite each
    other's values, and a primary measure that none of them gives."""
    spec, title = scenario.evaluation, f"scenario {scenario.name!r}"
    values: dict[str, list[str]] = {}
    for metric in metrics:
        values.setdefault(forms[metric.form].qualified, []).extend(metric.values)
    for form, names in values.items():
        if twice := [name for name, count in Counter(names).items() if count > 1]:
            same = [metric for metric in metrics if forms[metric.form].qualified == form]
            both = ", ".join(metric.name for metric in same if twice[0] in metric.values)
            why = "one would overwrite the other"
            raise UsageError(
                f"{title}: metrics {both} both give {twice[0]!r}", why=why, fix="name one of them"
            )
    measured = [*spec.each_round, *spec.final]
    for key in measured:
        if key not in data.suites:
            raise UsageError(
                f"{title} evaluates {key!r}, which data {data.name!r} does not have",
                fix=f"there are: {', '.join(sorted(data.suites))}",
            )
        if not data.suites[key].items:
            raise UsageError(f"{title} evaluates {key!r}, which is empty in data {data.name!r}")
        form = data.suites[key].form
        if forms[form].qualified not in values:
            raise UsageError(f"{title} evaluates {key!r}, but none of its metrics is for the form {form!r}")
    suite, _, value = spec.primary.rpartition("/")
    known = values[forms[data.suites[suite].form].qualified]
    if value not in known:
        raise UsageError(
            f"{title}: there is no primary metric {spec.primary!r}",
            fix=f"{suite} has: {', '.join(known)}",
        )
