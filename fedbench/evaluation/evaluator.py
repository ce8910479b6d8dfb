"""From trained parameters to measures: every suite, split and control of a scenario."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from typing import Any

import evaluate
import numpy as np
from torch import Tensor

from fedbench.api.metrics import Measure
from fedbench.api.specs import FormSpec, MetricSpec
from fedbench.data.features import library_folder
from fedbench.data.items import Suite
from fedbench.data.partition import Partition
from fedbench.errors import FedbenchError
from fedbench.evaluation.answers import Rows, SuiteAnswers, columns_of
from fedbench.evaluation.packing import PackedBatch, pack, scored_texts
from fedbench.evaluation.scoring import generate, likelihoods
from fedbench.models.language import LanguageModel
from fedbench.registry import Entry, Registry
from fedbench.rng import numpy_stream

FIELDS = {"value", "se", "n", "unit", "better", "scores"}
"""What a metric may say of a value."""

Adapted = Callable[[Tensor], AbstractContextManager[None]]
"""``adapted(params [P])``: a context in which the LLM is as these parameters have it."""

Project = Callable[[Tensor, Sequence[int]], Tensor]
"""``project(params [P], images) -> visual tokens [len(images), T, D]``."""


class Evaluator:
    """Measures parameters on suites; what doesn't depend on the parameters is computed once.

    ``project`` makes the LLM's visual tokens of parameters and images. ``units`` has the partition's unit of
    each image: a client's own items are those whose images ``partition`` gives it. ``forms`` has those of the
    suites and metrics. A generated answer has at
    most ``limit`` tokens. ``adapted``: given where the LLM changes with the parameters, and with it the blind
    prior.
    """

    def __init__(
        self,
        llm: LanguageModel,
        project: Project,
        suites: Mapping[str, Suite],
        metrics: Sequence[Entry[MetricSpec]],
        forms: Registry[FormSpec],
        units: Sequence[int],
        partition: Partition,
        limit: int = 16,
        adapted: Adapted | None = None,
    ) -> None:
        self.limit = limit
        self.adapted = adapted
        self.llm, self.project, self.suites = llm, project, suites
        self.forms = forms
        self.units, self.partition = units, partition
        self._packs: dict[str, list[PackedBatch]] = {}
        self._priors: dict[str, list[list[float]]] = {}
        self._blind_packs: dict[str, list[PackedBatch]] = {}
        self._owners: dict[str, list[int | None]] = {}
        self.metrics = [(entry, make_metric(entry)) for entry in metrics]

    def rows(self, params: Tensor, key: str, *, shuffle: int | None = None) -> Rows:
        """The rows that the metrics of suite ``key`` are computed from, for parameters [P].

        ``shuffle`` (a seed) gives every item the image of another concept: the text-only control.
        """
        with self.adapted(params) if self.adapted else nullcontext():
            return self._rows(params, key, shuffle)

    def _rows(self, params: Tensor, key: str, shuffle: int | None) -> Rows:
        """The rows, with the LLM as ``params`` have it."""
        suite = self.suites[key]
        images = self._images(suite) if shuffle is None else self._shuffled(suite, shuffle)
        visual = self.project(params, images)
        answers = SuiteAnswers(
            items=suite.items,
            likelihoods=lambda: likelihoods(self.llm, self._packed(key), visual),
            blind_logp=lambda: self._blind(key),
            generated=lambda: generate(self.llm, suite.items, visual, self.limit),
        )
        columns = columns_of(self.forms[suite.form], answers)
        return {"group": [item.group for item in suite.items], **columns}

    def measure(self, rows: Rows, key: str) -> dict[str, Measure]:
        """The measures of every metric for the suite's form, by ``split/suite/value``."""
        return {
            name: Measure(**{field: value for field, value in figures.items() if field != "scores"})
            for name, figures in self._figures(rows, key).items()
        }

    def scores(self, rows: Rows, name: str) -> np.ndarray | None:
        """The score of each item, [n], of which measure ``name`` is the mean; None if it has none."""
        scores = self._figures(rows, name.rpartition("/")[0])[name].get("scores")
        return None if scores is None else np.asarray(scores, dtype=np.float64)

    def of_client(self, rows: Rows, primary: str, client: int) -> Measure | None:
        """The primary measure on a client's own held-out items; None if the client has none."""
        key, _, _ = primary.rpartition("/")
        if key not in self._owners:
            images = self._images(self.suites[key])
            self._owners[key] = [self.partition.client_of(self.units[image]) for image in images]
        own = [index for index, owner in enumerate(self._owners[key]) if owner == client]
        part = {name: [column[index] for index in own] for name, column in rows.items()}
        return self.measure(part, key)[primary] if own else None

    def _figures(self, rows: Rows, key: str) -> dict[str, dict[str, Any]]:
        """What every metric for the suite's form computes, by ``split/suite/value``."""
        form = self.forms[self.suites[key].form]
        figures: dict[str, dict[str, Any]] = {}
        for entry, metric in self.metrics:
            if self.forms[entry.spec.form] == form:
                figures |= {f"{key}/{name}": value for name, value in _computed(entry, metric, rows).items()}
        return figures

    @staticmethod
    def _images(suite: Suite) -> list[int]:
        return [item.image for item in suite.items]

    def _shuffled(self, suite: Suite, seed: int) -> list[int]:
        """Order concepts at random, then give every item the image one whole concept further on."""
        groups = sorted({item.group for item in suite.items})
        ranks = numpy_stream(seed, "shuffled", suite.key).permutation(len(groups))
        rank = dict(zip(groups, ranks.tolist(), strict=True))
        order = sorted(range(len(suite.items)), key=lambda i: rank[suite.items[i].group])
        shift = max(Counter(item.group for item in suite.items).values())
        shuffled = self._images(suite)
        for number, item in enumerate(order):
            shuffled[item] = suite.items[order[(number + shift) % len(order)]].image
        return shuffled

    def _packed(self, key: str) -> list[PackedBatch]:
        if key not in self._packs:
            self._packs[key] = pack(self.suites[key].items, self.llm)
        return self._packs[key]

    def _blind(self, key: str) -> list[list[float]]:
        """The prior without an image: once for each text, whatever the images it is asked about."""
        if key not in self._priors or self.adapted:
            items = self.suites[key].items
            texts = [(item.prompt, scored_texts(item)) for item in items]
            if key not in self._blind_packs:
                self._blind_packs[key] = pack([*dict(zip(texts, items, strict=True)).values()], self.llm)
            scores = likelihoods(self.llm, self._blind_packs[key], None).logp
            by_text = dict(zip(dict.fromkeys(texts), scores, strict=True))
            self._priors[key] = [by_text[text] for text in texts]
        return self._priors[key]


def make_metric(entry: Entry[MetricSpec]) -> Any:
    """Make a metric; evaluate's own files go to fedbench's cache folder, not to the user's home."""
    evaluate.config.HF_METRICS_CACHE = library_folder("evaluate")
    return entry.create()


def _computed(entry: Entry[MetricSpec], metric: Any, rows: Rows) -> dict[str, dict[str, Any]]:
    """What a metric gives; :class:`FedbenchError` naming its plugin if it fails, gives other values than its
    spec names, or says something else of them than a measure has."""
    with entry.answerable(f"metric {entry.name!r} of plugin {entry.plugin.title} failed"):
        figures: dict[str, dict[str, Any]] = {
            name: dict(value) for name, value in metric.compute(**rows).items()
        }
    if set(figures) != set(entry.spec.values):
        raise FedbenchError(
            f"metric {entry.name!r} of plugin {entry.plugin.title} gives {', '.join(figures) or 'nothing'}",
            why=f"its spec names {', '.join(entry.spec.values)}",
        )
    if odd := sorted({field for value in figures.values() for field in value} - FIELDS):
        raise FedbenchError(f"metric {entry.name!r} of plugin {entry.plugin.title} gives a field {odd[0]!r}")
    return figures
