"""What is measured of a run's models: every round, and in the end."""

from __future__ import annotations

import math
import time
from collections import ChainMap
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np
from torch import Tensor

from fedbench.evaluation.estimates import mean
from fedbench.evaluation.evaluator import Evaluator, Rows
from fedbench.evaluation.metrics import matches
from fedbench.api.metrics import Costs, Measure
from fedbench.params import digest
from fedbench.results.records import RoundEntry, Spread
from fedbench.rng import derive
from fedbench.api.scenario import Evaluation


@dataclass
class RunEvaluator:
    """Measures models [M, P]: the global one, or if ``personalised`` one for each of ``clients``.

    ``baseline_params`` [P], if given, is whom the final answers are held against: the start.
    """

    spec: Evaluation
    evaluator: Evaluator
    seed: int
    clients: int
    personalised: bool = False
    baseline_params: Tensor | None = None
    _last: RoundEntry | None = None
    _known: dict[str, dict[str, Rows]] = field(default_factory=dict)  # by suite and model's digest

    def measured(self, entry: RoundEntry, models: Tensor) -> RoundEntry:
        """The entry with its round's measures; personalised models are measured together.

        Models that did not change are not measured again.
        """
        begin = time.perf_counter()
        if self._last is not None and self._last.digest == entry.digest:
            same = ("metrics", "undefined", "clients")
            return entry.model_copy(update={name: getattr(self._last, name) for name in same})
        primary_suite = self.spec.primary.rpartition("/")[0]
        metrics: dict[str, Measure] = {}
        clients: dict[str, Measure] = {}
        for key in self.spec.each_round:
            per_model, self._known[key] = self._per_model(models, key)
            metrics |= self.evaluator.measure(_joined(per_model), key)
            if key == primary_suite:
                clients = defined(self._by_client(per_model))[0]
        kept, undefined = defined(metrics)
        seconds = time.perf_counter() - begin
        costs = entry.costs + Costs(evaluation_seconds=seconds)
        found = {"metrics": kept, "undefined": undefined, "clients": clients, "costs": costs}
        self._last = entry.model_copy(update=found)
        return self._last

    def final(self, models: Tensor) -> tuple[dict[str, Measure], dict[str, dict[str, Measure]]]:
        """Every final suite, and each control on the suites of every round."""
        last = self._last.metrics if self._last is not None else {}
        found: dict[str, Measure] = {}
        for key in self.spec.final:
            # The last round has measured this very model on its suites.
            known = {name: measure for name, measure in last.items() if name.startswith(f"{key}/")}
            rows = self._rows(models, key) if self.baseline_params is not None or not known else {}
            found |= known or self.evaluator.measure(rows, key)
            if self.baseline_params is not None:
                found[f"{key}/win_rate"] = _win_rate(rows, self.evaluator.rows(self.baseline_params, key), len(models))
        controls: dict[str, dict[str, Measure]] = {}
        for control in self.spec.controls:
            seed = derive(self.seed, "control", control)
            shuffled = {key: self._rows(models, key, shuffle=seed) for key in self.spec.each_round}
            measured = [self.evaluator.measure(rows, key) for key, rows in shuffled.items()]
            controls[control] = defined(dict(ChainMap(*measured)))[0]
        return defined(found)[0], controls

    def _by_client(self, per_model: Sequence[Rows]) -> dict[str, Measure]:
        """Each client's held-out items, under its own model if it has one."""
        models = per_model if self.personalised else [*per_model] * self.clients
        found = (self.evaluator.of_client(rows, self.spec.primary, k) for k, rows in enumerate(models))
        return {str(k): measure for k, measure in enumerate(found) if measure is not None}

    def _rows(self, models: Tensor, key: str, shuffle: int | None = None) -> Rows:
        return _joined(self._per_model(models, key, shuffle)[0])

    def _per_model(
        self, models: Tensor, key: str, shuffle: int | None = None
    ) -> tuple[list[Rows], dict[str, Rows]]:
        """Each model's rows, also by digest. Equal models, and the last round's, are evaluated once."""
        known = self._known.get(key, {}) if shuffle is None else {}
        digests = [digest(model) for model in models]
        found: dict[str, Rows] = {}
        for name, model in zip(digests, models, strict=True):
            if name not in found:
                found[name] = known.get(name) or self.evaluator.rows(model, key, shuffle=shuffle)
        return [found[name] for name in digests], found


def _win_rate(rows: Rows, baseline_params: Rows, models: int) -> Measure:
    """How often the gold answer tells for these answers and against the baseline_params's; a tie is half a win."""
    wins = (matches(rows).astype(float) - np.tile(matches(baseline_params), models) + 1) / 2
    return Measure(**mean(wins).measure(rows["group"], "share"))


def _joined(per_model: Sequence[Rows]) -> Rows:
    """Rows of several models under each other: measured together, items × models of them."""
    return {name: [value for rows in per_model for value in rows[name]] for name in per_model[0]}


def defined(measures: Mapping[str, Measure]) -> tuple[dict[str, Measure], list[str]]:
    """The finite measures, and the names of the others (NaN is not a number in a record)."""
    kept = {
        name: measure if measure.se is None or math.isfinite(measure.se) else replace(measure, se=None)
        for name, measure in measures.items()
        if math.isfinite(measure.value)
    }
    return kept, sorted(set(measures) - set(kept))


def spread(clients: Mapping[str, Measure]) -> Spread | None:
    """Mean, worst and 10th percentile (from the bad end) of the clients' primary measures."""
    values = np.array([measure.value for measure in clients.values()])
    if not len(values):
        return None
    lower = any(measure.better == "lower" for measure in clients.values())
    worst, p10 = (values.max(), 90) if lower else (values.min(), 10)
    return Spread(mean=float(values.mean()), worst=float(worst), p10=float(np.percentile(values, p10)))
