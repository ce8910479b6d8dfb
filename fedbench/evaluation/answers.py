"""What a model answers to a suite, and the columns that the suite's form makes of it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from fedbench.api.specs import FormSpec
from fedbench.data.form import Form, Likelihoods, ModelAnswers
from fedbench.data.items import Item
from fedbench.errors import FedbenchError
from fedbench.registry import Entry

Rows = dict[str, list[Any]]
"""What metrics are computed from: a column for each of their inputs, an entry for each item."""


@dataclass(frozen=True, kw_only=True)
class SuiteAnswers:
    """A :class:`~fedbench.data.form.ModelAnswers` whose passes are made when they are called for."""

    items: Sequence[Item]
    likelihoods: Callable[[], Likelihoods]
    blind_logp: Callable[[], list[list[float]]]
    generated: Callable[[], list[str | None]]


def columns_of(entry: Entry[FormSpec], answers: ModelAnswers) -> Rows:
    """The columns of form ``entry``.

    :class:`FedbenchError` naming its plugin if it fails, or gives other columns than its spec names or not an
    entry for each item.
    """
    title = f"form {entry.name!r} of plugin {entry.plugin.title}"
    form: Form = entry.create()
    with entry.answerable(f"{title} failed"):
        columns = {name: list(column) for name, column in form.columns(answers).items()}
    if set(columns) != set(entry.spec.columns):
        raise FedbenchError(
            f"{title} gives the columns {', '.join(columns) or 'nothing'}",
            why=f"its spec names {', '.join(entry.spec.columns)}",
        )
    for name, column in columns.items():
        if len(column) != len(answers.items):
            raise FedbenchError(f"{title} gives {len(column)} of {name!r} for {len(answers.items)} items")
    return columns
