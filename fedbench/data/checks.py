"""Checks of a data set, before anything is encoded or trained, for what a run would fail on or bend."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import fields
from typing import Any

import numpy as np

from fedbench.api.scenario import Scenario
from fedbench.api.specs import FormSpec, MetricSpec
from fedbench.data.form import Form
from fedbench.data.items import FederatedData, PreferenceData, Suite
from fedbench.errors import UsageError
from fedbench.registry import Registry

Entries = Sequence[Any]


def check_data(data: FederatedData, title: str, forms: Registry[FormSpec]) -> None:
    """Refuse data that can't be used as it is, in a line that names the first entry that is at fault.

    ``title`` says whose the data is. Texts are texts, images are there, an item is one that its suite's form,
    one of ``forms``, can ask, labels have a value, and no image that clients learn from is asked about.
    """
    problem = next(_problems(data, forms), None)
    if problem:
        raise UsageError(f"{title} can't be used", why=problem, fix="mend the data set")


def _problems(data: FederatedData, forms: Registry[FormSpec]) -> Iterator[str]:
    images, units = len(data.images), np.asarray(data.units)
    if units.shape != (images,) or (images and units.min() < -1):
        yield f"it has {images} images and units of shape {list(units.shape)}, not a number from 0 for each"
    lists: dict[str, Entries] = {"pair": data.pairs}
    if isinstance(data, PreferenceData):
        lists |= {"query": data.queries, "comparison": data.comparisons}
    for key, suite in data.suites.items():
        if suite.key != key:
            yield f"its suite {key!r} calls itself {suite.key!r}"
        lists[f"item of {key}"] = suite.items
    for what, entries in lists.items():
        for number, entry in enumerate(entries):
            yield from (f"{what} {number} {fault}" for fault in _faults(entry, images))
    for key, suite in data.suites.items():
        yield from _form_problems(key, suite, forms)
    for name, values in data.labels.items():
        odd = next(
            (unit for unit, value in enumerate(values) if not isinstance(value, str) or not value), None
        )
        if odd is not None:
            yield f"label {name!r} of unit {odd} is {values[odd]!r}, not a text"
        if images and len(values) <= units.max():
            yield f"label {name!r} has {len(values)} values for units up to {units.max()}"
    yield from _shared_problems(data, lists)


def _form_problems(key: str, suite: Suite, forms: Registry[FormSpec]) -> Iterator[str]:
    """Say which items can't be asked in the suite's form, or that there is no such form."""
    try:
        entry = forms[suite.form]
    except UsageError as error:
        yield f"suite {key!r}: {error}"
        return
    form: Form = entry.create()
    with entry.answerable(f"form {entry.name!r} of plugin {entry.plugin.title} can't check suite {key!r}"):
        faults = [(number, fault) for number, item in enumerate(suite.items) if (fault := form.problem(item))]
    yield from (f"item {number} of {key} {fault}" for number, fault in faults)


def _faults(entry: Any, images: int) -> Iterator[str]:
    """What is wrong with a pair, preference or item by itself."""
    if not isinstance(entry.image, int | np.integer) or not 0 <= entry.image < images:
        yield f"is about image {entry.image!r}, of {images}"
    for field in fields(entry):
        value = getattr(entry, field.name)
        if field.name in ("choices", "references"):
            if not isinstance(value, tuple) or not all(isinstance(text, str) for text in value):
                yield f"has the {field.name} {value!r}, not a tuple of texts"
        elif field.name != "image" and not isinstance(value, str):
            yield f"has the {field.name} {str(value)[:40]!r} of type {type(value).__name__}, not a text"


def _shared_problems(data: FederatedData, lists: dict[str, Entries]) -> Iterator[str]:
    """Say that images of a list that is asked about are also trained on."""

    def units(entries: Entries) -> np.ndarray:
        return data.units[np.fromiter((entry.image for entry in entries), dtype=np.int64)]

    train = set(units(data.pairs).tolist())
    if -1 in train:
        yield "clients learn from images of no unit (-1), which nobody has"
        train.remove(-1)
    for what, entries in lists.items():
        if what == "pair":
            continue
        shared = [number for number, unit in enumerate(units(entries).tolist()) if unit in train]
        if shared:
            yield (
                f"{len(shared)} of the {len(entries)} entries of {what!r} are about images that clients learn"
                f" from, such as entry {shared[0]} (image {entries[shared[0]].image})"
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
