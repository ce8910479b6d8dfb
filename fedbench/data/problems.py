"""What is wrong with a data set's rows, items and labels: every fault, with its kind and number."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, fields
from typing import Any

import numpy as np

from fedbench.api.specs import FormSpec
from fedbench.data.form import Form
from fedbench.data.items import FederatedData, PreferenceData, Suite
from fedbench.errors import UsageError
from fedbench.registry import Registry

Entries = Sequence[Any]

SPOKEN = ("answer", "chosen", "rejected")
"""The texts of an entry that can't be empty: they are what is learnt or asked about."""


@dataclass(frozen=True, kw_only=True)
class Problem:
    """One fault of a data set; its text is a line that names where it is."""

    kind: str
    """What is wrong, in a few words that are the same for all faults of the kind."""
    what: str
    """What it is wrong with: ``pair``, ``query``, ``item of test/name``, ``label 'artist'`` …"""
    numbers: tuple[int, ...] = ()
    """Which of them, counted from 0; empty where it is the whole."""
    line: str
    """The whole of it."""

    def __str__(self) -> str:
        return self.line


def data_problems(data: FederatedData, forms: Registry[FormSpec]) -> Iterator[Problem]:
    """Find all faults of ``data``; its items are held to their suites' forms, which ``forms`` has."""
    images, units = len(data.images), np.asarray(data.units)
    if units.shape != (images,) or (images and units.min() < -1):
        line = f"it has {images} images and units of shape {list(units.shape)}, not a number from 0 for each"
        yield Problem(kind="units that are no numbers of images", what="units", line=line)
        return
    for key, suite in data.suites.items():
        if suite.key != key:
            line = f"its suite {key!r} calls itself {suite.key!r}"
            yield Problem(kind="suite under another name", what=f"suite {key!r}", line=line)
    lists, sound = entries_of(data), True
    for what, entries in lists.items():
        for number, entry in enumerate(entries):
            for kind, fault in _faults(entry, images):
                sound = sound and kind == "empty answer"
                yield Problem(kind=kind, what=what, numbers=(number,), line=f"{what} {number} {fault}")
    for name, values in data.labels.items():
        yield from _label_problems(name, values, int(units.max()) if images else -1)
    if sound:
        for key, suite in data.suites.items():
            yield from _form_problems(key, suite, forms)
        yield from _shared_problems(data, lists)


def entries_of(data: FederatedData) -> Mapping[str, Entries]:
    """All that ``data`` says of images, by what an entry is called."""
    lists: dict[str, Entries] = {"pair": data.pairs}
    if isinstance(data, PreferenceData):
        lists |= {"query": data.queries, "comparison": data.comparisons}
    return lists | {f"item of {key}": suite.items for key, suite in data.suites.items()}


def _form_problems(key: str, suite: Suite, forms: Registry[FormSpec]) -> Iterator[Problem]:
    """Find the items that can't be asked in the suite's form, or say that there is no such form."""
    try:
        entry = forms[suite.form]
    except UsageError as error:
        yield Problem(kind="unknown form", what=f"suite {key!r}", line=f"suite {key!r}: {error}")
        return
    form: Form = entry.create()
    with entry.answerable(f"form {entry.name!r} of plugin {entry.plugin.title} can't check suite {key!r}"):
        faults = [(number, fault) for number, item in enumerate(suite.items) if (fault := form.problem(item))]
    what = f"item of {key}"
    for number, fault in faults:
        line = f"item {number} of {key} {fault}"
        yield Problem(kind=f"no item of form {suite.form!r}", what=what, numbers=(number,), line=line)


def _faults(entry: Any, images: int) -> Iterator[tuple[str, str]]:
    """What is wrong with a pair, preference or item by itself: kinds of faults, and how each is said."""
    if not isinstance(entry.image, int | np.integer) or not 0 <= entry.image < images:
        yield "no such image", f"is about image {entry.image!r}, of {images}"
    for field in fields(entry):
        value = getattr(entry, field.name)
        if field.name in ("choices", "references"):
            if not isinstance(value, tuple) or not all(isinstance(text, str) for text in value):
                yield "not a tuple of texts", f"has the {field.name} {value!r}, not a tuple of texts"
            elif odd := next((text for text in value if not _is_unicode(text)), None):
                yield "not Unicode", _half(field.name, odd)
        elif field.name != "image":
            if not isinstance(value, str):
                kind = type(value).__name__
                yield "not a text", f"has the {field.name} {str(value)[:40]!r} of type {kind}, not a text"
            elif not _is_unicode(value):
                yield "not Unicode", _half(field.name, value)
            elif field.name in SPOKEN and not value.strip():
                yield f"empty {field.name}", f"has an empty {field.name}"


def _is_unicode(text: str) -> bool:
    """Whether a text can be written: half a pair of surrogates, as JSON may hold, can't."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def _half(field: str, text: str) -> str:
    return f"has the {field} {text[:40]!a}, which has half a character (a lone surrogate)"


def _label_problems(name: str, values: Sequence[Any], last: int) -> Iterator[Problem]:
    """Find units without a value of label ``name``; ``last`` is the last unit there is."""
    what = f"label {name!r}"
    odd = [unit for unit, value in enumerate(values) if not isinstance(value, str) or not value]
    if odd:
        line = f"label {name!r} of unit {odd[0]} is {values[odd[0]]!r}, not a text"
        yield Problem(kind="not a text", what=what, numbers=tuple(odd), line=line)
    if len(values) <= last:
        line = f"label {name!r} has {len(values)} values for units up to {last}"
        yield Problem(kind="too few values", what=what, line=line)


def _shared_problems(data: FederatedData, lists: Mapping[str, Entries]) -> Iterator[Problem]:
    """Say that images of a list that is asked about are also trained on."""

    def units(entries: Entries) -> np.ndarray:
        return data.units[np.fromiter((entry.image for entry in entries), dtype=np.int64)]

    train = np.unique(units(data.pairs))
    if -1 in train:
        line = "clients learn from images of no unit (-1), which nobody has"
        yield Problem(kind="images of no unit", what="pairs", line=line)
        train = train[train >= 0]
    for what, entries in lists.items():
        if what == "pair":
            continue
        shared = np.flatnonzero(np.isin(units(entries), train)).tolist()
        if shared:
            line = (
                f"{len(shared)} of the {len(entries)} entries of {what!r} are about images that clients learn"
                f" from, such as entry {shared[0]} (image {entries[shared[0]].image})"
            )
            yield Problem(kind="trained on as well", what=what, numbers=tuple(shared), line=line)
