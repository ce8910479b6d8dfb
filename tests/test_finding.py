"""The findings' own code: it counts what it should, its commands can be typed, its sentences can fail."""

import sys
from importlib import import_module
from pathlib import Path

import numpy as np
import pytest
import torch
from conftest import example_record
from scipy.stats import t

from fedbench.api.metrics import Costs, Measure
from fedbench.catalog import Catalog
from fedbench.cli.main import main
from fedbench.errors import UsageError
from fedbench.plugins import Plugins
from fedbench.results.run_command import run_command
from fedbench.results.statistics import interval
from fedbench.runner import Runner
from fedbench.scenario_files import load_scenario

FOLDER = Path(__file__).parent.parent / "studies"


@pytest.fixture(scope="module")
def findings():
    """Imports a module as `python studies/report.py` does."""
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


def test_other_options_are_other_runs(results, study, catalog):
    found = results(
        record(catalog, "fed-cmp", value=0.3),
        record(catalog, "fed-cmp", 0, 0.4, options={"rank": 16}),
    )
    assert found.values(study(), "fed-cmp", "emoji-ii") == {0: 0.3}
    assert found.values(study(options={"rank": 16}), "fed-cmp", "emoji-ii") == {0: 0.4}


def test_runs_that_are_missing_are_counted(results, study, catalog):
    asked = [study(("emoji-ii",), ("fedavg", "fed-cmp"), seeds=2), study(("emoji-ii",), ("start",), seeds=1)]
    assert results(record(catalog), record(catalog, seed=1), record(catalog, "start")).missing(asked) == 2


def test_differences_are_paired_by_seed_with_the_intervals_of_compare(findings):
    ours, theirs = [0.30, 0.42, 0.35], [0.50, 0.55, 0.49]
    reporting = findings("reporting")
    found = reporting.difference(dict(enumerate(ours)), dict(enumerate([*theirs, 0.9])))
    gaps = np.subtract(ours, theirs)
    half = t.ppf(0.975, 2) * gaps.std(ddof=1) / 3**0.5
    assert found == interval(gaps.tolist()) and found.n == 3
    assert (found.low, found.high) == pytest.approx((gaps.mean() - half, gaps.mean() + half), abs=5e-3)
    assert found.clear and reporting.text(found).endswith("*")
    assert reporting.text(interval([0.1, 0.1])) == "+0.100", "seeds that agree have no interval"


@pytest.mark.parametrize(
    ("differences", "verdict"),
    [
        ([0.1, 0.11, 0.12], "holds here"),
        ([-0.1, -0.11, -0.12], "does not hold here"),
        ([-0.1, 0.1, 0.2], "undecided here"),
        ([0.1], "undecided here"),
        ([0.0, 0.0, 0.0], "does not hold here"),
        ([2.0, 2.0], "holds here"),
    ],
)
def test_a_verdict_is_the_interval_s(findings, differences, verdict):
    assert findings("reporting").verdict(interval(differences)) == verdict


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


@pytest.mark.slow
@pytest.mark.parametrize("finding", ["fed_cmp", "mor"])
def test_every_study_can_be_run_and_its_command_typed(findings, finding, catalog, monkeypatch, capsys):
    for study in findings(f"{finding}.studies").STUDIES:
        command = run_command(
            methods=study.methods,
            scenarios=study.scenarios,
            seeds=[0],
            options=study.options,
            changes=study.changes,
        )
        monkeypatch.setattr(sys, "argv", [*command, "--dry-run"])
        with pytest.raises(SystemExit) as exit:
            main()
        assert exit.value.code == 0, capsys.readouterr().err


GAINS = {"start": 0.0, "gold-reward": 0.4, "mor": 0.2, "reward-mean": 0.1, "fedavg-dpo": 0.2}


def preference_record(catalog, scenario, method, seed, options):
    """What a run of the preference track could have given."""
    made = load_scenario(catalog.scenarios[scenario].spec.path)
    own, value = "test/own/exact_match", 0.3 + GAINS.get(method, 0.15) + 0.01 * seed
    rewarded = method not in ("start", "fedavg-dpo")
    measures = {own: value, "test/held-out/exact_match": value, "test/overall/exact_match": value}
    own_client, entropy = (0.6, 0.7) if scenario == "prefs-skewed" else (1.0, 1.0)
    routing = {"router/pairwise_accuracy": 0.7, "router/own_client": own_client, "router/entropy": entropy}
    mixed = "rewards/membership_auc_mixed"
    audit = {"rewards/membership_auc": 0.5, mixed: 0.5 + 0.01 * (-1) ** seed, f"{mixed}_raw": 0.5}
    policy = {"policy/reward": 0.1, "policy/gold": 0.2, "policy/kl": 0.01} if rewarded else {}
    model = {"accuracy": 0.6, "own_accuracy": 0.7, "mean": 0.0, "deviation": 1.0}
    good = {"informative": 10, "good": 10}
    models = [model | {"client": k} for k in range(3)] if rewarded else []
    megabytes = 100 if method == "fedavg-dpo" else 10
    found = example_record(
        method, seed, primary=own,
        rounds=[
            {
                "round": number, "digest": f"{number}" * 64, "metrics": measured({own: value} | policy),
                "diagnostics": {"reward_models": models, "routing": routing} if number == 0 else good,
            }
            for number in range(3)
        ],
        final=measured(measures | (routing | audit if rewarded else {})),
        costs=Costs(uplink_bytes=megabytes * 10**6),
    )  # fmt: skip
    info = {"name": scenario, "fingerprint": made.fingerprint}
    full = catalog.methods[method].options().model_dump(mode="json") | options
    return found.model_copy(
        update={
            "scenario": found.scenario.model_copy(update=info),
            "method": found.method.model_copy(update={"options": full}),
        }
    )


def measured(values):
    return {name: Measure(value, None, 100, "share") for name, value in values.items()}


@pytest.fixture(scope="module")
def mor(findings, catalog):
    """What the finding about MoR says if of all runs it asks for only one in ``every`` is there."""
    page, studies = findings("mor.page"), findings("mor.studies").STUDIES

    def contents(every):
        runs = [
            (scenario, method, seed, study.options)
            for study in studies
            for scenario in study.scenarios
            for method in study.methods
            for seed in range(study.seeds)
        ]
        records = (preference_record(catalog, *run) for run in runs[::every])
        results = findings("results").Results(records, catalog, page.SCENARIOS)
        return page.contents(results, Runner(catalog, torch.device("cpu")))

    return contents


TEMPLATE = FOLDER / "mor" / "mor.md.jinja"


@pytest.mark.slow
def test_a_page_of_few_runs_says_what_is_missing(findings, mor):
    contents = mor(every=7)
    text = findings("reporting").rendered(TEMPLATE, contents)
    assert f"**{contents['missing']} of the runs asked for are missing so far**" in text
    assert "0 seeds so far; `runs.py` makes 5" in text and "no runs yet" in text


def test_verdicts_follow_from_the_runs(findings, mor):
    contents, rendered = mor(every=1), findings("reporting").rendered
    text = rendered(TEMPLATE, contents)
    assert contents["missing"] == 0 and "so far" not in text and "no runs yet" not in text
    lines = {line.split("|")[1].strip(): line for line in text.splitlines() if line.count("|") > 3}
    assert lines["MoR beats the average, own tasks"].count("**holds here**") == 2
    assert lines["the online router helps, own tasks"].count("**does not hold here**") == 2
    assert lines["MoR moves less than an exchange of all parameters, MB"].count("**holds here**") == 2
    assert (
        lines["normalisation lowers membership inference's AUC (clients mixed)"].count("**undecided here**")
        == 2
    )
    with pytest.raises(UsageError, match="no longer holds"):
        rendered(TEMPLATE, contents | {"mean": lambda method, scenario, read=None: 0.5})


def test_a_reward_is_overoptimised_if_it_rises_while_the_truth_falls(findings):
    overoptimised = findings("mor.audit").overoptimised
    up, down, nowhere = map(interval, ([0.1, 0.11, 0.12], [-0.1, -0.11, -0.12], [-0.1, 0.1, 0.2]))
    assert overoptimised(up, down) == "yes"
    assert overoptimised(up, up) == overoptimised(down, down) == "no"
    assert overoptimised(up, nowhere) == overoptimised(None, down) == "undecided"
