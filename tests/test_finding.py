"""The findings' own code: it counts what it should, its commands can be typed, its sentences can fail."""

import sys
from importlib import import_module
from pathlib import Path

import numpy as np
import pytest
from conftest import example_record
from scipy.stats import t

from fedbench.catalog import Catalog
from fedbench.cli.main import main
from fedbench.errors import UsageError
from fedbench.plugins import Plugins
from fedbench.scenario import load_scenario

FOLDER = Path(__file__).parent.parent / "docs" / "findings"


@pytest.fixture(scope="module")
def findings():
    """Imports a module as `python docs/findings/report.py` does."""
    patch, before = pytest.MonkeyPatch(), set(sys.modules)
    patch.syspath_prepend(str(FOLDER))
    yield import_module
    patch.undo()
    for name in set(sys.modules) - before:
        if str(FOLDER) in str(getattr(sys.modules[name], "__spec__", "")):
            del sys.modules[name]


@pytest.fixture(scope="module")
def study(findings):
    return findings("study").Study


@pytest.fixture(scope="module")
def catalog():
    return Catalog(Plugins())


@pytest.fixture(scope="module")
def results(findings, catalog):
    """Results on emoji-ii from records."""
    return lambda *records: findings("results").Results(records, catalog, ["emoji-ii"])


def record(catalog, method="fedavg", seed=0, value=0.5, fingerprint=None, options=None):
    scenario = load_scenario(catalog.scenarios["emoji-ii"].spec.path)
    found = example_record(method, seed, value)
    info = found.scenario.model_copy(
        update={"name": "emoji-ii", "fingerprint": fingerprint or scenario.fingerprint}
    )
    full = catalog.methods[method].options().model_dump(mode="json") | (options or {})
    return found.model_copy(
        update={"scenario": info, "method": found.method.model_copy(update={"options": full})}
    )


def test_only_records_of_the_installed_scenario_count(results, study, catalog):
    found = results(record(catalog), record(catalog, seed=1, fingerprint="0" * 64))
    assert len(found) == 1 and list(found.get(study(), "fedavg", "emoji-ii")) == [0]
    with pytest.raises(UsageError, match="two records"):
        results(record(catalog), record(catalog))


def test_options_are_told_apart(results, study, catalog):
    found = results(
        record(catalog, "fed-cmp", value=0.3),
        record(catalog, "fed-cmp", 0, 0.4, options={"rank": 16}),
    )
    assert found.values(study(), "fed-cmp", "emoji-ii") == {0: 0.3}
    assert found.values(study(options={"rank": 16}), "fed-cmp", "emoji-ii") == {0: 0.4}


def test_runs_that_are_missing_are_counted(results, study, catalog):
    asked = [study(("emoji-ii",), ("fedavg", "fed-cmp"), seeds=2), study(("emoji-ii",), ("start",), seeds=1)]
    assert results(record(catalog), record(catalog, seed=1), record(catalog, "start")).missing(asked) == 2


def test_differences_are_paired_by_seed_with_t_intervals(findings):
    ours, theirs = [0.30, 0.42, 0.35], [0.50, 0.55, 0.49]
    found = findings("reporting").difference(dict(enumerate(ours)), dict(enumerate([*theirs, 0.9])))
    gaps = np.subtract(ours, theirs)
    half = t.ppf(0.975, 2) * gaps.std(ddof=1) / 3**0.5
    assert found.mean == pytest.approx(gaps.mean()) and found.seeds == 3
    assert (found.low, found.high) == pytest.approx((gaps.mean() - half, gaps.mean() + half))
    assert found.clear and str(found).endswith("*")


@pytest.mark.parametrize(
    ("differences", "verdict"),
    [
        ([0.1, 0.11, 0.12], "holds here"),
        ([-0.1, -0.11, -0.12], "does not hold here"),
        ([-0.1, 0.1, 0.2], "can't be told here"),
        ([0.1], "can't be told here"),
        ([0.0, 0.0, 0.0], "does not hold here"),
        ([2.0, 2.0], "holds here"),
    ],
)
def test_a_verdict_is_the_interval_s(findings, differences, verdict):
    reporting = findings("reporting")
    assert reporting.verdict(reporting.paired(differences)) == verdict


def test_variance_between_groups(findings):
    between = findings("fed_cmp.page").between
    points = np.array([[0.0], [0.0], [2.0], [2.0]])
    assert between(points, [np.array([0, 1]), np.array([2, 3])]) == 1
    assert between(points, [np.array([0, 2]), np.array([1, 3])]) == 0


def test_a_sentence_that_no_longer_holds_stops_the_report(findings):
    holds = findings("reporting").holds
    assert holds(True) == ""
    with pytest.raises(UsageError, match="no longer holds"):
        holds(False)


@pytest.mark.parametrize("finding", ["fed_cmp", "mor"])
def test_every_recorded_command_can_be_typed(findings, finding, monkeypatch, capsys):
    for study in findings(f"{finding}.studies").STUDIES:
        command = study.command(study.methods[0], study.scenarios[0], 0)
        monkeypatch.setattr(sys, "argv", [*command, "--dry-run"])
        with pytest.raises(SystemExit) as exit:
            main()
        assert exit.value.code == 0, capsys.readouterr().err
