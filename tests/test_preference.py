"""Whole runs of the preference track on plain colours: what travels, what is counted, what goes wrong."""

import errno
import os
import sys
from contextlib import nullcontext
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from conftest import install_plugin, mostly_slow

from fedbench.api.local_rule import LocalRule
from fedbench.api.reward_fuser import RewardFuser
from fedbench.api.scenario import Faults
from fedbench.catalog import Catalog
from fedbench.errors import FedbenchError, UsageError
from fedbench.federation.executors import Executor, no_rule
from fedbench.federation.faults import FaultModel
from fedbench.federation.local import LocalWork
from fedbench.jobs import plan_jobs
from fedbench.params import digest
from fedbench.plugins import Plugins
from fedbench.preference.audit import TrainingPreferences, reward_report
from fedbench.preference.dpo import BETA
from fedbench.preference.fitting import training_preferences
from fedbench.preference.prepare import check_preferences
from fedbench.preference.reward_cache import RewardModelCache
from fedbench.preference.reward_channel import RewardChannel
from fedbench.results.store import read_record
from fedbench.runner import Runner, prepare
from fedbench.runs.inputs import load_inputs
from fedbench.runs.protocol import ProgressCallbacks
from fedbench.scenario_files import load_scenario
from fedbench.testing.contracts import created
from fedbench.verification.consistency import inconsistencies

SMALL = {"mor.rounds": 2, "mor.steps": 2, "mor.width": 8, "mor.heads": 2, "mor.layers": 1}
K, STEPS, GROUP, QUERIES, ROUNDS = 3, 2, 4, 3, 3
SERIAL = Executor("serial", 1)
METHODS = (
    "mor", "start", "gold-reward", "reward-mean", "reward-random", "reward-single", "reward-fedavg",
    "fedavg-dpo",
)  # fmt: skip


@pytest.fixture(scope="module")
def catalog(toy_preferences):
    return Catalog(Plugins())


@pytest.fixture(scope="module")
def runner(catalog):
    return Runner(catalog, torch.device("cpu"), "serial")


@pytest.fixture(scope="module")
def run(runner, catalog, tmp_path_factory):
    """``run(method, changes, options)``: the record."""
    output = tmp_path_factory.mktemp("runs")

    def run(method, changes=None, options=None, output=output):
        own = {key: value for key, value in SMALL.items() if key.startswith(f"{method}.")}
        (job,) = plan_jobs(
            catalog, methods=[method], scenarios=["toy-preferences"], seeds=[0],
            options=own | (options or {}), changes=changes or {}, output=output,
        )  # fmt: skip
        return read_record(runner.run(job))

    return run


@pytest.fixture(scope="module")
def bench(catalog, toy_preferences):
    scenario = load_scenario(toy_preferences / "toy-preferences.toml")
    return prepare(load_inputs(catalog.resolve(scenario)), torch.device("cpu"), lambda line: None)


@pytest.mark.parametrize("method", METHODS)
def test_every_run_begins_alike_and_is_told_apart_from_the_start(run, method):
    record = run(method)
    assert record.rounds[0].digest == run("start").rounds[0].digest
    assert len(record.rounds) == ROUNDS + 1 and record.spread is not None
    changed = {entry.digest for entry in record.rounds}
    assert len(changed) == (1 if method == "start" else ROUNDS + 1)
    assert 0 <= record.final["test/own/win_rate"].value <= 1
    if method == "start":
        assert record.final["test/own/win_rate"].value == 0.5 and not record.costs.client_examples


OBSERVER = """
from fedbench import hookimpl

heard = []

@hookimpl
def fedbench_policy_step(event):
    heard.append(event)
"""


def test_observers_hear_every_policy_step(toy_preferences, tmp_path, monkeypatch):
    install_plugin(tmp_path / "plugins", "step-observer", {"hooks.py": OBSERVER})
    monkeypatch.syspath_prepend(str(tmp_path / "plugins"))
    catalog = Catalog(Plugins())
    (job,) = plan_jobs(
        catalog, methods=["reward-mean"], scenarios=["toy-preferences"], seeds=[0], options={}, changes={},
        output=tmp_path,
    )  # fmt: skip
    record = read_record(Runner(catalog, torch.device("cpu"), "serial").run(job))
    heard = sys.modules["step_observer.hooks"].heard
    assert [event.step for event in heard] == list(range(1, ROUNDS * STEPS + 1))
    assert {(event.method, event.steps) for event in heard} == {("reward-mean", ROUNDS * STEPS)}
    rewards = [event.entry["policy/reward"] for event in heard[-STEPS:]]
    assert record.rounds[-1].metrics["policy/reward"].value == pytest.approx(sum(rewards) / STEPS)


def test_the_same_seed_gives_the_same_record(run, tmp_path):
    again = run("mor", output=tmp_path)
    assert again.without_times() == run("mor").without_times()


def test_one_client_alone_is_every_fusion_of_one(run):
    """Reductions: all weight on one client is that client's reward, whoever puts it there."""
    single = run("reward-single", options={"client": 1})
    best = run("reward-single")
    chosen = {
        name for entry in best.rounds[1:] for name, count in entry.diagnostics["queried"].items() if count
    }
    assert len(chosen) == 1
    one = run("reward-single", options={"client": int(chosen.pop().split()[1])})
    assert [e.digest for e in one.rounds] == [e.digest for e in best.rounds]
    assert next(e.digest for e in single.rounds) == next(e.digest for e in best.rounds)


def test_only_scalars_come_back_and_only_the_asked_are_sent_anything(run, bench):
    everyone, one, gold = run("reward-mean"), run("reward-single"), run("gold-reward")
    answers = STEPS * QUERIES * GROUP
    for entry in everyone.rounds[1:]:
        assert entry.costs.uplink_bytes == 4 * K * answers and entry.cohort == [0, 1, 2]
    for entry in one.rounds[1:]:
        assert entry.costs.uplink_bytes == 4 * answers and len(entry.cohort) == 1
    assert not gold.costs.uplink_bytes + gold.costs.downlink_bytes + gold.costs.client_examples
    image, prompt = 64 * 64 * 3, len("which category?")
    down = everyone.costs.downlink_bytes / (ROUNDS * answers * K)
    assert image + prompt <= down <= image + prompt + 40
    assert everyone.costs.client_examples == 4 * len(bench.data.pairs), "four passes over the preferences"


def test_a_router_is_paid_for_and_reported(run):
    record = run("mor")
    router = record.costs.uplink_bytes - sum(entry.costs.uplink_bytes for entry in record.rounds[1:])
    assert router > 0 and router % (SMALL["mor.rounds"] * K * 4) == 0
    assert record.final["router/entropy"].value <= 1.0987
    for name in ("pairwise_accuracy", "own_accuracy", "brier", "membership_auc", "membership_auc_mixed"):
        assert 0 <= record.final[f"rewards/{name}"].value <= 1
    assert {"policy/gold", "policy/reward", "policy/kl"} <= set(record.rounds[-1].metrics)
    assert [line["client"] for line in record.rounds[0].diagnostics["reward_models"]] == [0, 1, 2]


def test_an_attacker_sees_what_each_client_was_taught(bench):
    """A swapped preference is what the client prefers; normalisation keeps the order within a client."""
    models = bench.federation(0, SERIAL).client_models
    source, index = models[1], torch.from_numpy(bench.shards[1])
    preferences = TrainingPreferences(
        bench.chosen.responses(index),
        bench.rejected.responses(index),
        torch.tensor([-1.0] + [1.0] * (len(index) - 1)),
    )
    found = torch.from_numpy(preferences.preferred(source))
    assert float(found[0]) == float(source.score(preferences.rejected)[0])
    assert torch.equal(found[1:], source.score(preferences.chosen)[1:])
    both = [
        reward_report(which, [preferences] * K, bench.comparisons)[0]["rewards/membership_auc"].value
        for which in (models, [model.uncalibrated for model in models])
    ]
    assert both[0] == pytest.approx(both[1], abs=1e-3)


def test_gold_teaches_what_is_asked(run):
    """With a rate to match, the true reward makes sampled answers right."""
    quick = {"policy.lr": 1e-3, "policy.steps": 20, "policy.queries": 9, "federation.rounds": 3}
    record = run("gold-reward", changes=quick)
    first, last = (record.rounds[i].metrics["policy/gold"] for i in (1, -1))
    assert last.value - first.value > 3 * (first.se**2 + last.se**2) ** 0.5


@pytest.mark.parametrize(
    "fault, why",
    [
        ({"dropout": 1.0}, "dropped out in 2 of 2 steps"),
        ({"straggling": 1.0}, "late in 2 of 2 steps"),
        ({"corruption": 1.0, "corrupted": ["nan"]}, "not finite in 2 of 2 steps"),
        ({"corruption": 1.0, "corrupted": ["inf"]}, "not finite in 2 of 2 steps"),
    ],
)
def test_a_step_goes_on_without_those_who_do_not_answer(run, fault, why):
    record = run("reward-mean", changes={f"faults.{key}": value for key, value in fault.items()})
    assert all(entry.left_out == dict.fromkeys("012", why) for entry in record.rounds[1:])
    assert "policy/reward" in record.rounds[1].undefined and record.status == "completed"
    kept = run("mor", changes={f"faults.{key}": value for key, value in fault.items()})
    assert kept.status == "completed"


@pytest.mark.parametrize(
    "method",
    mostly_slow(["mor", "reward-single", "reward-fedavg", "gold-reward", "fedavg-dpo"], "mor", "fedavg-dpo"),
)
@pytest.mark.parametrize("fault", mostly_slow(["dropout", "straggling", "corruption"], "dropout"))
def test_a_run_with_faults_agrees_with_itself(run, toy_preferences, method, fault):
    changes = {f"faults.{fault}": 0.4}
    scenario = load_scenario(toy_preferences / "toy-preferences.toml", changes)
    record = run(method, changes=changes)
    ceiling = method == "gold-reward"
    assert list(inconsistencies(record, scenario, is_ceiling=ceiling)) == []
    left_out = [entry for entry in record.rounds if entry.left_out]
    assert bool(left_out) == (method in ("mor", "fedavg-dpo")) or method == "reward-single"
    for entry in left_out:
        others = [e.model_copy(update={"left_out": {}}) if e is entry else e for e in record.rounds]
        forged = record.model_copy(update={"rounds": others})
        if fault != "corruption":
            assert list(inconsistencies(forged, scenario, is_ceiling=ceiling)), "silence is hidden"


def test_an_attacker_is_named_and_turns_its_rewards_round(run):
    honest, attacked = run("reward-mean"), run("reward-mean", changes={"faults.byzantine": 0.34})
    (attacker,) = attacked.rounds[1].attackers
    fault_model = FaultModel(Faults(byzantine=0.34), 0, K)
    rewards = torch.tensor([1.0, -2.0])
    assert torch.equal(fault_model.tampered_rewards(1, attacker, rewards), -rewards)
    assert torch.equal(fault_model.tampered_rewards(1, (attacker + 1) % K, rewards), rewards)
    assert attacked.rounds[-1].digest != honest.rounds[-1].digest


def test_a_budget_is_kept_in_every_part_of_a_run(run):
    """A step asks each of three clients for a number about twelve answers; MoR may ask some of them."""
    router = run("mor").rounds[0].costs.uplink_bytes
    step = 4 * K * QUERIES * GROUP
    record = run("reward-mean", changes={"budget.uplink_bytes": 2 * STEPS * step})
    assert [entry.round for entry in record.rounds] == [0, 1, 2] and record.stopped
    assert record.costs.uplink_bytes == 2 * STEPS * step
    assert len(run("reward-mean", changes={"budget.uplink_bytes": 2 * STEPS * step - 1}).rounds) == 2
    with pytest.raises(FedbenchError, match="ends the training of what is 'router' here after 1 of 2 rounds"):
        run("mor", changes={"budget.uplink_bytes": router - 1})
    taught = run("reward-fedavg").costs.client_examples
    assert run("reward-fedavg", changes={"budget.examples": taught}).costs.client_examples == taught


def test_a_router_may_stay_untrained(run):
    assert run("mor", options={"mor.rounds": 0}).rounds[0].costs.uplink_bytes == 0


def test_a_client_that_no_comparison_is_about_is_only_a_client(bench, tmp_path):
    """And what is undefined of it is the same the next time, when it is read from the cache."""
    problem, fitted = bench.reward_problem(0), bench.federation(0, SERIAL).fitted
    owners = np.where(bench.comparisons.owners == 1, 0, bench.comparisons.owners)
    lonely = replace(bench.comparisons, owners=owners)
    measures, clients = reward_report(fitted.models, training_preferences(problem), lonely)
    assert np.isnan(clients[1]["own_accuracy"]) and clients[0]["own_accuracy"] >= 0
    assert 0 <= measures["rewards/membership_auc"].value <= 1
    odd = replace(fitted, measures=measures, per_client=clients)
    cache = RewardModelCache(tmp_path, lambda line: None)
    cache.get({"odd": 1}, bench.tasks, lambda: odd)
    again = cache.get({"odd": 1}, bench.tasks, lambda: None)
    assert repr(again.per_client) == repr(clients) and repr(again.measures) == repr(measures)


def test_who_refuses_a_scenario_does_not_stop_the_others(fedbench, toy_preferences):
    kinds = ", ".join(f'{{architecture = "{name}"}}' for name in ("dual", "cross", "dual"))
    methods = ("-m", "reward-fedavg", "-m", "start")
    changed = ("--set", f"rewards.models=[{kinds}]")
    code, out, err = fedbench("run", "-s", "toy-preferences", *methods, *changed)
    assert code == 2 and "can't be averaged" in err and "start" in out


def test_noise_swaps_a_share_of_a_clients_preferences(bench, catalog, toy_preferences):
    assert (bench.signs(0) == 1).all()
    noisy = load_scenario(toy_preferences / "toy-preferences.toml", {"rewards.noise": [0.0, 0.5, 0.25]})
    signs = prepare(load_inputs(catalog.resolve(noisy)), torch.device("cpu"), lambda line: None).signs(0)
    wrong = [int((signs[shard] < 0).sum()) for shard in bench.shards]
    assert wrong[0] == 0 and wrong[1] > wrong[2] > 0


class Talkative:
    name, client = "client 0", 0

    def score(self, responses):
        return responses.visual.mean(1)


def test_whoever_says_more_than_a_number_is_refused(bench):
    channel = RewardChannel([Talkative()], bench.data.images, FaultModel(Faults(), 0, K))
    responses = bench.comparisons.better.everything
    with pytest.raises(FedbenchError, match=r"client 0 answers with a tensor of shape .* nothing else"):
        channel.query(1, responses, torch.ones(len(responses.ids), 1))


def test_damaged_reward_models_are_fitted_again(bench, monkeypatch, tmp_path):
    monkeypatch.setenv("FEDBENCH_CACHE", str(tmp_path))
    first = bench.federation(3, SERIAL).fitted
    (path,) = tmp_path.glob("reward-models/*.safetensors")
    again = bench.federation(3, SERIAL).fitted
    path.write_bytes(path.read_bytes()[:500])
    mended = bench.federation(3, SERIAL).fitted
    for other in (again, mended):
        assert other.measures == first.measures and other.per_client == first.per_client
        for ours, theirs in zip(other.models, first.models, strict=True):
            assert torch.equal(ours.params, theirs.params) and ours.mean == theirs.mean


def test_fitted_reward_models_are_read_where_nothing_can_be_written(bench, monkeypatch, tmp_path):
    monkeypatch.setenv("FEDBENCH_CACHE", str(tmp_path))
    first = bench.federation(3, SERIAL).fitted

    def refused(*arguments, **more):
        raise OSError(errno.EROFS, os.strerror(errno.EROFS))

    monkeypatch.setattr("pathlib.Path.mkdir", refused)
    monkeypatch.setattr("fedbench.preference.reward_cache.locked", refused)
    assert bench.federation(3, SERIAL).fitted.measures == first.measures
    with pytest.raises(
        UsageError, match=r"can't write the cache of reward models .*: Read-only file system — "
    ):
        bench.federation(4, SERIAL)


def test_waiting_for_another_fit_is_said(bench, monkeypatch, tmp_path):
    lines, fitted = [], bench.federation(0, SERIAL).fitted
    cache = RewardModelCache(tmp_path, lines.append)

    def locked_elsewhere(path, waiting):
        waiting()
        return nullcontext()

    monkeypatch.setattr("fedbench.preference.reward_cache.locked", locked_elsewhere)
    cache.get({"slow": 1}, bench.tasks, lambda: fitted)
    assert lines[0].startswith("waiting for another process that fits these reward models (")


def test_dpo_begins_at_log_two_and_follows_its_definition(bench):
    task, index = bench.dpo_problem(0).task, torch.tensor([[0, 5, 9]])
    start, policy = bench.reference.flat[None], bench.new_policy()
    assert float(task.loss(start, index)) == pytest.approx(0.6931472, abs=1e-6)
    moved = start + 0.01 * torch.randn(start.shape, generator=torch.Generator().manual_seed(0))
    loss = float(task.loss(moved, index))

    def logp(params, side):
        policy.load(params[0])
        return policy.logp(side.questions, *side.padded()).sum(1).detach()

    rows = [side.rows([0, 5, 9]) for side in (task.chosen, task.rejected)]
    gain = [logp(moved, side) - logp(start, side) for side in rows]
    by_hand = -torch.nn.functional.logsigmoid(BETA * (gain[0] - gain[1])).mean()
    assert loss == pytest.approx(float(by_hand), abs=1e-5)


def test_dpo_clients_of_unequal_size_train_together_as_alone(bench):
    task, training = bench.dpo_problem(0).task, bench.dpo_problem(0).training
    work = [LocalWork(k, np.arange(size), 0, 9) for k, size in enumerate((3, 2 * training.batch_size + 1))]
    start = bench.reference.flat.repeat(len(work), 1)
    trained = [
        Executor(name, chunk).train(task, start, work, no_rule, training)
        for name, chunk in (("batched", 2), ("serial", 1))
    ]
    assert torch.allclose(trained[0].params, trained[1].params, atol=1e-6)
    assert torch.allclose(trained[0].loss, trained[1].loss) and not torch.equal(trained[0].params, start)


def test_a_local_rule_that_looks_at_visual_tokens_has_none_to_look_at(bench):
    problem, rule = bench.dpo_problem(0), LocalRule(loss=lambda signals: signals.visual.sum((1, 2, 3)))
    work, start = [LocalWork(0, np.arange(3), 0, 1)], bench.reference.flat[None]
    with pytest.raises(UsageError, match="DPOTask shows no visual tokens to a local rule"):
        SERIAL.train(problem.task, start, work, lambda clients, start: rule, problem.training)


def test_a_policys_parameters_are_one_vector(bench):
    policy, start = bench.new_policy(), bench.reference.flat
    policy.load(torch.zeros_like(start))
    assert all(not parameter.any() for parameter in policy.parameters())
    policy.load(start)
    assert torch.equal(policy.flat, start) and policy.weights.lm_head.weight.abs().sum() > 0


def test_training_and_evaluation_change_nothing_that_runs_share(bench):
    """A run trains a policy of its own, and an evaluator loads what it measures into another."""
    start, runs = bench.reference.flat.clone(), [bench.run(created("gold-reward"), 0, "serial") for _ in "12"]
    rounds = [run.rounds(SERIAL, None, ProgressCallbacks()) for run in runs]
    first, other = (next(each) for each in rounds)
    trained = next(rounds[0])
    policies = [run.trainer.policy.flat for run in runs]
    assert not torch.equal(policies[0], start), "it has been trained"
    bench.evaluator.rows(torch.zeros_like(start), "test/own")
    assert digest(policies[0][None]) == trained.entry.digest and torch.equal(policies[1], start)
    assert torch.equal(bench.reference.flat, start) and first.entry.digest == other.entry.digest
    again = next(rounds[1])
    assert again.entry.digest == trained.entry.digest, "what went before changes no run"


def replaced(data, **changes):
    from dataclasses import replace

    return replace(data, **changes)


def test_pairs_that_teach_nothing_are_refused(bench):
    data, scenario = bench.data, bench.scenario
    first = data.pairs[0]
    tie = type(first)(first.image, first.prompt, "food", " food")
    empty = type(first)(first.image, first.prompt, "food", " ")
    for bad, said in ((tie, "is a tie"), (empty, "has an empty answer")):
        with pytest.raises(UsageError, match=f"preference 3 {said}"):
            check_preferences(scenario, replaced(data, pairs=(*data.pairs[:3], bad, *data.pairs[4:])))
    with pytest.raises(UsageError, match="no public queries"):
        check_preferences(scenario, replaced(data, queries=()))


TWO = '[{architecture = "dual"}, {architecture = "cross"}]'
REFUSED = {
    "a policy without vision": ({"backbone.name": '"nano"'}, "'nano' can't be a policy: it has no projector"),
    "data of the other track": (
        {"data.name": '"emoji"', "evaluation.primary": '"validation/generate/exact_match"',
         "evaluation.each_round": '["validation/generate"]', "evaluation.final": '["validation/generate"]',
         "partition.options.label": '"artist"', "federation.clients": 2},
        "data 'emoji' has no preferences to learn",
    ),
    "a suite that is no generation": (
        {"data.name": '"emoji"'}, "evaluates 'test/own', which data 'emoji' does not have",
    ),
    "too many kinds of models": ({"rewards.models": TWO}, "2 values for 3 clients"),
    "noise beyond a coin's": ({"rewards.noise": "[0.7]"}, "rewards.noise"),
    "a mistyped part of a reward model": (
        {"rewards.models": '[{architectur = "dual"}]'},
        "did you mean 'architecture'? known keys: architecture, backbone",
    ),
    "an unknown architecture": ({"rewards.models": '[{architecture = "mamba"}]'}, "rewards.models"),
    "a group of one": ({"policy.group": 1}, "policy.group"),
}  # fmt: skip


@pytest.mark.parametrize(("changes", "said"), REFUSED.values(), ids=REFUSED.keys())
def test_bad_input_is_one_line(fedbench, toy_preferences, changes, said):
    sets = [word for key, value in changes.items() for word in ("--set", f"{key}={value}")]
    code, _, err = fedbench("run", "-s", "toy-preferences", "-m", "start", *sets)
    lines = [line for line in err.splitlines() if "encoding" not in line]
    assert code == 2 and len(lines) == 1 and said in err
    assert not list(Path().rglob("record.json"))


def test_methods_of_the_other_track_are_refused(fedbench, toy_preferences):
    code, _, err = fedbench("run", "-s", "toy-preferences", "-m", "fed-cmp")
    assert code == 2 and "for the alignment track" in err
    code, _, err = fedbench("run", "-s", "toy-preferences", "-m", "reward-single", "-o", "client=7")
    assert code == 1 and "there is no client 7" in err


def test_different_reward_models_are_not_averaged(fedbench, toy_preferences):
    kinds = ", ".join(f'{{architecture = "{name}"}}' for name in ("dual", "cross", "dual"))
    arguments = ("run", "-s", "toy-preferences", "-m", "reward-fedavg", "--set", f"rewards.models=[{kinds}]")
    code, _, err = fedbench(*arguments)
    assert code == 2 and "can't be averaged: they are of 2 architectures" in err


def test_reward_methods_are_fusers():
    assert all(
        isinstance(created(name), RewardFuser) for name in METHODS if name not in ("start", "fedavg-dpo")
    )
