"""The finding's own code: it counts what it should, its commands can be typed, its sentences can fail."""

import sys
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

FOLDER = Path(__file__).parent.parent / "docs" / "findings" / "fed_cmp"


@pytest.fixture(scope="module")
def finding():
    """The modules ``runs`` and ``report``, as `python docs/findings/fed_cmp/report.py` finds them."""
    patch = pytest.MonkeyPatch()
    patch.syspath_prepend(str(FOLDER))
    import runs

    import report

    yield runs, report
    patch.undo()
    for name in ("report", "runs", "first_round"):
        sys.modules.pop(name, None)


@pytest.fixture(scope="module")
def catalog():
    return Catalog(Plugins())


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


def test_only_records_of_the_installed_scenario_count(finding, catalog):
    runs, report = finding
    records = [record(catalog), record(catalog, seed=1, fingerprint="0" * 64)]
    results = report.Results(records, catalog)
    assert len(results) == 1 and list(results.get(runs.Study(), "fedavg", "emoji-ii")) == [0]
    with pytest.raises(UsageError, match="two records"):
        report.Results([record(catalog), record(catalog)], catalog)


def test_options_are_told_apart(finding, catalog):
    runs, report = finding
    records = [
        record(catalog, "fed-cmp", value=0.3),
        record(catalog, "fed-cmp", 0, 0.4, options={"rank": 16}),
    ]
    results = report.Results(records, catalog)
    assert results.values(runs.Study(), "fed-cmp", "emoji-ii") == {0: 0.3}
    assert results.values(runs.Study(options={"rank": 16}), "fed-cmp", "emoji-ii") == {0: 0.4}


def test_differences_are_paired_by_seed_with_t_intervals(finding, catalog):
    runs, report = finding
    ours, theirs = [0.30, 0.42, 0.35], [0.50, 0.55, 0.49]
    records = [record(catalog, "fed-cmp", k, v) for k, v in enumerate(ours)]
    records += [record(catalog, "fedavg", k, v) for k, v in enumerate([*theirs, 0.9])]
    found = report.Results(records, catalog).difference(runs.Study(), "fed-cmp", "emoji-ii")
    gaps = np.subtract(ours, theirs)
    half = t.ppf(0.975, 2) * gaps.std(ddof=1) / 3**0.5
    assert found.mean == pytest.approx(gaps.mean()) and found.seeds == 3
    assert (found.low, found.high) == pytest.approx((gaps.mean() - half, gaps.mean() + half))
    assert found.clear and str(found).endswith("*")


def test_variance_between_groups(finding):
    _, report = finding
    points = np.array([[0.0], [0.0], [2.0], [2.0]])
    assert report.between(points, [np.array([0, 1]), np.array([2, 3])]) == 1
    assert report.between(points, [np.array([0, 2]), np.array([1, 3])]) == 0


def test_a_sentence_that_no_longer_holds_stops_the_report(finding):
    _, report = finding
    assert report.holds(True) == ""
    with pytest.raises(UsageError, match="no longer holds"):
        report.holds(False)


def test_every_recorded_command_can_be_typed(finding, monkeypatch, capsys):
    runs, _ = finding
    for study in runs.STUDIES:
        command = study.command(study.methods[0], study.scenarios[0], 0)
        monkeypatch.setattr(sys, "argv", [*command, "--dry-run"])
        with pytest.raises(SystemExit) as exit:
            main()
        assert exit.value.code == 0, capsys.readouterr().err
