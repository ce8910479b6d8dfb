"""The records behind a finding, looked up by study, method and scenario."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from typing import Any

from fedbench.catalog import Catalog
from fedbench.errors import UsageError
from fedbench.results.own_part import ALL, final_scores
from fedbench.results.records import Record
from fedbench.results.run_summary import run_of
from fedbench.scenario_files import load_scenario
from study import Study

Reader = Callable[[Record], float | None]
"""Reads a number out of a record; None where it has none."""


def primary(record: Record) -> float:
    """Value of the record's primary measure over all items, of a personalised method, too."""
    return run_of(record).measure(over_all_items(record)).value


def over_all_items(record: Record) -> str:
    """Name of the primary measure over all items; the primary one where clients were not measured."""
    everything = f"{record.primary}/{ALL}"
    return everything if everything in final_scores(record) else record.primary


def final(name: str) -> Reader:
    """Reads final measure ``name``."""
    return lambda record: record.final[name].value if name in record.final else None


class Results:
    """Records of the installed versions of ``scenarios``, by scenario, changes, method, options and seed."""

    def __init__(self, records: Iterable[Record], catalog: Catalog, scenarios: Iterable[str]) -> None:
        self.catalog = catalog
        self._records: dict[tuple[Any, ...], dict[int, Record]] = defaultdict(dict)
        self._defaults: dict[str, dict[str, Any]] = {}
        self._fingerprints: dict[tuple[Any, ...], str] = {}
        scenarios = set(scenarios)
        for record in records:
            key = (record.scenario.name, _frozen(record.scenario.changes))
            if record.scenario.name not in scenarios:
                continue
            if record.scenario.fingerprint != self._fingerprint(*key):
                continue  # of another version
            seeds = self._records[(*key, record.method.name, _frozen(record.method.options))]
            if record.seed in seeds:
                raise UsageError(f"two records of {key} {record.method.name} seed {record.seed}")
            seeds[record.seed] = record

    def __len__(self) -> int:
        return sum(map(len, self._records.values()))

    def get(self, study: Study, method: str, scenario: str) -> dict[int, Record]:
        """The runs of a study's method on a scenario, by seed."""
        if method not in self._defaults:
            self._defaults[method] = self.catalog.methods[method].options().model_dump(mode="json")
        options = _frozen(self._defaults[method] | study.options)
        seeds = self._records.get((scenario, _frozen(study.changes), method, options), {})
        return dict(sorted(seeds.items()))

    def values(self, study: Study, method: str, scenario: str, read: Reader = primary) -> dict[int, float]:
        """What ``read`` gives of those runs, by seed; without the seeds where it gives None."""
        values = {seed: read(record) for seed, record in self.get(study, method, scenario).items()}
        return {seed: value for seed, value in values.items() if value is not None}

    def seeds(self, study: Study) -> int:
        """The least number of seeds that any of a study's methods has on any of its scenarios."""
        return min(len(self.get(study, m, scenario)) for scenario in study.scenarios for m in study.methods)

    def count(self, studies: Sequence[Study]) -> int:
        """How many records the studies have, each counted once."""
        return len(
            {
                record.record_id
                for study in studies
                for scenario in study.scenarios
                for method in study.methods
                for record in self.get(study, method, scenario).values()
            }
        )

    def missing(self, studies: Sequence[Study]) -> int:
        """How many of the studies' runs are not there yet."""
        return sum(
            seed not in self.get(study, method, scenario)
            for study in studies
            for scenario in study.scenarios
            for method in study.methods
            for seed in range(study.seeds)
        )

    def _fingerprint(self, scenario: str, changes: tuple[tuple[str, Any], ...]) -> str:
        if (scenario, changes) not in self._fingerprints:
            path = self.catalog.scenarios[scenario].spec.path
            self._fingerprints[scenario, changes] = load_scenario(path, dict(changes)).fingerprint
        return self._fingerprints[scenario, changes]


def _frozen(values: dict[str, Any]) -> tuple[tuple[str, Any], ...]:
    return tuple(sorted(values.items()))
