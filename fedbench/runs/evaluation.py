"""What is measured of a run's models: after every round, and at the end."""

from __future__ import annotations

import math
import time
from collections import ChainMap
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np
from torch import Tensor

from fedbench.api.metrics import Costs, Measure
from fedbench.api.scenario import Evaluation
from fedbench.evaluation.answers import Rows
from fedbench.evaluation.estimates import mean
from fedbench.evaluation.evaluator import Evaluator
from fedbench.evaluation.metrics import matches
from fedbench.params import digest
from fedbench.results.item_scores import ItemScores
from fedbench.results.records import RoundEntry
from fedbench.rng import derive


class Diverged(ArithmeticError):
    """A model has parameters that are NaN or infinite: nothing can be measured of it, and no round mends it.

    ``model`` [P] is as it is after round ``number``; ``client`` says whose, None if it is everybody's.
    """

    def __init__(self, number: int, model: Tensor, client: int | None) -> None:
        whose = "the model" if client is None else f"the model of client {client}"
        odd = int((~model.isfinite()).sum())
        super().__init__(
            f"after round {number} {odd:,} of {len(model):,} parameters of {whose} are NaN or infinite"
        )


@dataclass(frozen=True, kw_only=True)
class FinalMeasures:
    """What is measured of a run's last models."""

    final: Mapping[str, Measure]
    """Measures of every final suite, by name."""

    controls: Mapping[str, Mapping[str, Measure]]
    """By control (shuffled images): the measures of every suite that is measured each round."""

    control_clients: Mapping[str, Mapping[str, Measure]]
    """By control and client: the primary measure on each client's own held-out items."""

    items: ItemScores | None = None
    """What each item of the primary suite scored; None where the primary metric gives no scores of items, or
    a score is not finite."""


@dataclass(kw_only=True)
class RunEvaluator:
    """Measures the models [M, P] of one run: M is 1, or the number of clients where each has its own.

    Models that did not change are not measured again.
    """

    spec: Evaluation
    """What the scenario asks to be measured."""

    evaluator: Evaluator
    """Measures one model on one suite."""

    seed: int
    """The run's seed, from which controls draw theirs."""

    clients: int
    """Clients of the scenario."""

    baseline_params: Tensor | None = None
    """Parameters [P] whose answers the final ones are compared with (win rate); the start, if any."""

    _last: RoundEntry | None = None
    _rows_by_digest: dict[str, dict[str, Rows]] = field(default_factory=dict)  # by suite: the last round's

    def measured(self, entry: RoundEntry, models: Tensor) -> RoundEntry:
        """``entry`` with its round's measures added; personalised models are measured together.

        Raises :class:`Diverged` for a model that is no longer made of numbers.
        """
        begin = time.perf_counter()
        if not (sound := models.isfinite().all(dim=1)).all():
            raise Diverged(
                entry.round, models[~sound][0], int((~sound).nonzero()[0]) if len(models) > 1 else None
            )
        if self._last is not None and self._last.digest == entry.digest:
            same = ("metrics", "undefined", "clients")
            return entry.model_copy(update={name: getattr(self._last, name) for name in same})
        metrics: dict[str, Measure] = {}
        clients: dict[str, Measure] = {}
        for key in self.spec.each_round:
            per_model, self._rows_by_digest[key] = self._per_model(models, key)
            metrics |= self.evaluator.measure(_joined(per_model), key)
            if key == self._primary_suite:
                clients = defined(self._by_client(per_model))[0]
        finite, undefined = defined(metrics)
        costs = entry.costs + Costs(evaluation_seconds=time.perf_counter() - begin)
        update = {"metrics": finite, "undefined": undefined, "clients": clients, "costs": costs}
        self._last = entry.model_copy(update=update)
        return self._last

    def final(self, models: Tensor) -> FinalMeasures:
        """Measure final suites, controls on the suites of every round, and the primary suite's items."""
        last = self._last.metrics if self._last is not None else {}
        measures: dict[str, Measure] = {}
        for key in self.spec.final:
            # The last round has measured this very model on its suites.
            known = {name: measure for name, measure in last.items() if name.startswith(f"{key}/")}
            rows = self._rows(models, key) if self.baseline_params is not None or not known else {}
            measures |= known or self.evaluator.measure(rows, key)
            if self.baseline_params is not None:
                baseline = self.evaluator.rows(self.baseline_params, key)
                measures[f"{key}/win_rate"] = _win_rate(rows, baseline, len(models))
        controls: dict[str, dict[str, Measure]] = {}
        control_clients: dict[str, dict[str, Measure]] = {}
        for control in self.spec.controls:
            seed = derive(self.seed, "control", control)
            shuffled = {key: self._per_model(models, key, seed)[0] for key in self.spec.each_round}
            measured = [self.evaluator.measure(_joined(rows), key) for key, rows in shuffled.items()]
            controls[control] = defined(dict(ChainMap(*measured)))[0]
            control_clients[control] = defined(self._by_client(shuffled[self._primary_suite]))[0]
        return FinalMeasures(
            final=defined(measures)[0],
            controls=controls,
            control_clients={name: clients for name, clients in control_clients.items() if clients},
            items=self._item_scores(models),
        )

    @property
    def _primary_suite(self) -> str:
        return self.spec.primary.rpartition("/")[0]

    def _item_scores(self, models: Tensor) -> ItemScores | None:
        per_model, _ = self._per_model(models, self._primary_suite)
        scores = self.evaluator.scores(_joined(per_model), self.spec.primary)
        if scores is None or not np.isfinite(scores).all():
            return None
        return ItemScores.of(scores, per_model[0]["group"], models=len(per_model))

    def _by_client(self, per_model: Sequence[Rows]) -> dict[str, Measure]:
        """Each client's held-out items, under its own model if it has one."""
        models = per_model if len(per_model) > 1 else [*per_model] * self.clients
        measures = (self.evaluator.of_client(rows, self.spec.primary, k) for k, rows in enumerate(models))
        return {str(k): measure for k, measure in enumerate(measures) if measure is not None}

    def _rows(self, models: Tensor, key: str) -> Rows:
        return _joined(self._per_model(models, key)[0])

    def _per_model(
        self, models: Tensor, key: str, shuffle: int | None = None
    ) -> tuple[list[Rows], dict[str, Rows]]:
        """Each model's rows, also by digest. Equal models, and the last round's, are evaluated once."""
        known = self._rows_by_digest.get(key, {}) if shuffle is None else {}
        digests = [digest(model) for model in models]
        rows: dict[str, Rows] = {}
        for name, model in zip(digests, models, strict=True):
            if name not in rows:
                rows[name] = known.get(name) or self.evaluator.rows(model, key, shuffle=shuffle)
        return [rows[name] for name in digests], rows


def defined(measures: Mapping[str, Measure]) -> tuple[dict[str, Measure], list[str]]:
    """The finite measures, and the names of the others (NaN is not a number in a record)."""
    finite = {
        name: measure if measure.se is None or math.isfinite(measure.se) else replace(measure, se=None)
        for name, measure in measures.items()
        if math.isfinite(measure.value)
    }
    return finite, sorted(set(measures) - set(finite))


def _win_rate(rows: Rows, baseline: Rows, models: int) -> Measure:
    """Share of answers that are right where the baseline's is not; a tie is half a win."""
    wins = (matches(rows).astype(float) - np.tile(matches(baseline), models) + 1) / 2
    return Measure(**mean(wins).measure(rows["group"], "share"))


def _joined(per_model: Sequence[Rows]) -> Rows:
    """Rows of several models under each other: measured together, items × models of them."""
    return {name: [value for rows in per_model for value in rows[name]] for name in per_model[0]}
