"""Runs end to end: real backbone, real drawings, real projector; records, resume, cancellation."""

import json
import signal
import subprocess
import sys
import time
from dataclasses import replace
from datetime import datetime, timedelta
from itertools import count
from pathlib import Path

import pytest
import torch
from torch.nn import functional as F

from fedbench.catalog import Catalog
from fedbench.cli.main import main
from fedbench.data.tokens import TokenTable
from fedbench.errors import FedbenchError, UsageError
from fedbench.evaluation.evaluator import Evaluator
from fedbench.federation import checkpoint
from fedbench.federation.executors import Executor, no_rule
from fedbench.federation.optim import rate
from fedbench.federation.plan import plan
from fedbench.fingerprint import sha256_json
from fedbench.jobs import plan_jobs
from fedbench.params import digest
from fedbench.plugins import Plugins
from fedbench.results.records import RoundEntry
from fedbench.results.store import find_records, read_record
from fedbench.rng import torch_stream
from fedbench.run_profile import PARTS
from fedbench.runner import Runner, choose_device
from fedbench.runs.aggregation import AggregationRun
from fedbench.runs.protocol import ProgressCallbacks
from fedbench.testing.contracts import make
from fedbench.verification.ladder import Level, verify


@pytest.fixture(scope="module")
def runner(tiny):
    """One runner whose bench stays resident for the whole module."""
    return Runner(Catalog(Plugins(strict=True)), choose_device("cpu"), "serial")


@pytest.fixture
def run(runner, tmp_path):
    """``run(method, seed=…, output=…, **options)`` to a record, in this process."""

    def run(method, *, seed=0, output=tmp_path / "runs", changes=None, **options):
        (job,) = plan_jobs(
            runner.catalog,
            methods=[method],
            scenarios=["tiny"],
            seeds=[seed],
            options=options,
            changes=changes or {},
            output=output,
        )
        return read_record(runner.run(job))

    return run


def command(*arguments, output):
    return [sys.executable, "-m", "fedbench", "run", "-s", "tiny", "--output", str(output), *arguments]


def test_a_run_from_the_command_line(tiny, tmp_path):
    done = subprocess.run(
        command("-m", "fed-cmp", output=tmp_path), capture_output=True, text=True, timeout=280
    )
    assert done.returncode == 0, done.stderr
    (path,) = find_records([tmp_path])
    record = read_record(path)
    assert str(path) in done.stdout and "fed-cmp" in done.stdout
    assert [entry.round for entry in record.rounds] == [0, 1, 2]
    assert sum("round" in line for line in done.stderr.splitlines()) == 3, "one line a round off a terminal"
    log = [json.loads(line) for line in (path.parent / "rounds.jsonl").read_text().splitlines()]
    assert log == [entry.model_dump(mode="json") for entry in record.rounds]
    assert record.record_id == record.sealed().record_id
    assert record.command[:2] == ["fedbench", "run"]
    assert record.data.client_examples == [12, 16, 20]
    weights = record.rounds[-1].diagnostics["weights"]
    assert sum(weights) == pytest.approx(1) and len(weights) == 3
    assert not (path.parent / "checkpoints").exists()
    before = path.read_bytes()
    again = subprocess.run(
        command("-m", "fed-cmp", "--format", "json", output=tmp_path),
        capture_output=True,
        text=True,
        timeout=280,
    )
    assert again.returncode == 0 and "done already" in again.stderr
    (row,) = json.loads(again.stdout)
    assert min(row["seconds_by_part"].values()) > 0
    assert sum(row["seconds_by_part"].values()) == pytest.approx(record.wall_seconds)
    assert path.read_bytes() == before, "nothing is run twice"


@pytest.mark.parametrize("method", ["fedavg", "local"], ids=["one model", "a model for each client"])
def test_a_record_has_the_score_of_every_item_and_their_mean_is_the_primary_measure(run, runner, method):
    record = run(method)
    measure, items = record.final[record.primary], record.items
    assert (items.encoding, items.models) == ("bits", 1 if method == "fedavg" else 3)
    assert items.decoded().size == measure.n and items.decoded().mean() == measure.value
    (bench,) = runner._benches.values()
    suite = bench.evaluator.suites[record.primary.rpartition("/")[0]]
    assert items.groups_sha256 == sha256_json([item.group for item in suite.items])
    assert "items" not in record.not_recorded


def test_same_seed_same_record_another_seed_another(run, tmp_path):
    first, second = (run("fed-cmp", output=tmp_path / name) for name in "ab")
    assert first.without_times() == second.without_times()
    other = run("fed-cmp", seed=1)
    assert not {e.digest for e in other.rounds} & {e.digest for e in first.rounds}


def test_every_measure_has_an_error_and_the_costs_add_up(run):
    record = run("fedavg")
    assert {key.split("/")[1] for key in record.final} == {
        "category", "caption", "name", "kind", "yesno", "generate"
    }  # fmt: skip
    assert all(m.se is not None and m.n > 0 and m.unit for m in record.final.values())
    assert set(record.controls) == {"shuffled"}
    p = record.data.parameters
    assert record.costs.uplink_bytes == record.costs.downlink_bytes == 2 * 3 * 4 * p
    assert record.costs.client_examples == sum(record.data.client_examples)
    assert record.spread.worst <= record.spread.p10 <= record.spread.mean
    final, last = record.final[record.primary], record.rounds[-1].metrics[record.primary]
    assert final == last, "the last round and the final evaluation measure the same model"


def test_anchors_frame_every_method(run):
    start, local = run("start"), run("local")
    assert len({entry.digest for entry in start.rounds}) == 1
    assert start.costs.client_examples == start.costs.uplink_bytes == local.costs.uplink_bytes == 0
    at_the_start = [r.rounds[0].metrics[r.primary].value for r in (start, local, run("fedavg"))]
    assert len(set(at_the_start)) == 1
    assert run("centralized").costs.client_examples == local.costs.client_examples


def test_equal_models_are_evaluated_once(run, monkeypatch):
    asked = []
    rows = Evaluator.rows

    def counting(self, params, key, *, shuffle=None):
        asked.append((key, shuffle is None, digest(params)))
        return rows(self, params, key, shuffle=shuffle)

    monkeypatch.setattr(Evaluator, "rows", counting)
    record = run("local", changes={"federation.cohort": 1, "federation.rounds": 3})
    trained = {client for entry in record.rounds for client in entry.cohort}
    assert len(asked) == len(set(asked)), "nothing is evaluated twice"
    # The start and a model a round; in the end the start, if it is still somebody's, and the trained ones.
    assert sum(key == "unseen-concept/category" and true for key, true, _ in asked) == 1 + 3
    assert sum(key == "unseen-concept/name" for key, _, _ in asked) == len(trained) + (len(trained) < 3)


def test_texts_are_padded_alike_however_many_clients_share_a_pass(runner, run, monkeypatch):
    """Attention over another padding rounds differently."""
    run("fedavg")
    (bench,) = runner._benches.values()
    work = plan(AggregationRun(bench, make("fedavg"), 0, "serial").setup, range(3), 1)
    start = bench.task.trainable.init(torch_stream(0, "init")).repeat(3, 1)
    widths, gather = [], TokenTable.gather

    def watched(table, index):
        gathered = gather(table, index)
        widths.append(gathered[0].shape[-1])
        return gathered

    monkeypatch.setattr(TokenTable, "gather", watched)
    seen = []
    for chunk in (3, 2, 1):
        widths.clear()
        Executor("test", chunk).train(bench.task, start, work, no_rule, bench.scenario.training)
        seen.append(widths.copy())
    together, *in_parts = seen
    assert len(set(together)) > 1, "there is something to pad"
    for padded in in_parts:
        assert len(padded) > len(together) and set(padded) == set(together)


def test_serial_and_batched_agree(runner, run):
    """Whole runs in float32, by relative norm; one round in float64, element by element."""
    run("fedavg")
    (bench,) = runner._benches.values()
    found = []
    for chunk in (1, 3):
        alignment = AggregationRun(bench, make("fed-cmp"), 0, "serial")
        *_, last = alignment.rounds(Executor("test", chunk), None, ProgressCallbacks())
        found.append(last.state.state["params"])
    assert (found[0] - found[1]).norm() / found[0].norm() < 1e-5

    training = bench.scenario.training
    work = plan(AggregationRun(bench, make("fedavg"), 0, "serial").setup, range(3), 1)
    start = bench.task.trainable.init(torch_stream(0, "init")).double().repeat(3, 1)
    llm = bench.loaded.backbone.llm.double()
    try:
        task = replace(bench.task, features=bench.task.features.double())
        exact = [Executor("test", chunk).train(task, start, work, no_rule, training) for chunk in (1, 2, 3)]
    finally:
        llm.float()
    for other in exact[1:]:
        torch.testing.assert_close(other.params, exact[0].params, rtol=0, atol=1e-9)


def test_a_run_agrees_with_a_plain_loop(runner, run):
    """FedAvg's first round on the real task, against torch's own module, optimiser and loss."""
    run("fedavg")
    (bench,) = runner._benches.values()
    training, task = bench.scenario.training, bench.task
    work = plan(AggregationRun(bench, make("fedavg"), 0, "serial").setup, range(3), 1)
    start = task.trainable.init(torch_stream(0, "init")).double()
    tokenizer, eos = bench.loaded.backbone.tokenizer, bench.loaded.backbone.tokenizer.eos_token_id
    llm = bench.loaded.backbone.llm.double()
    results = []
    try:
        for item in work:
            net = torch.nn.Sequential(
                torch.nn.Linear(112, 32), torch.nn.GELU(), torch.nn.Linear(32, 192)
            ).double()
            torch.nn.utils.vector_to_parameters(start.clone(), net.parameters())
            optimizer = torch.optim.AdamW(net.parameters(), weight_decay=0.0)
            steps = -(-len(item.examples) // training.batch_size)
            for step in range(steps):
                optimizer.param_groups[0]["lr"] = rate(training, step, steps)
                losses = []
                for i in item.examples[step * training.batch_size :][: training.batch_size]:
                    pair = bench.data.pairs[i]
                    prompt = tokenizer(pair.prompt, add_special_tokens=False)["input_ids"]
                    answer = [*tokenizer(f" {pair.answer}", add_special_tokens=False)["input_ids"], eos]
                    visual = net(task.features[pair.image].double())
                    text = llm.get_input_embeddings()(torch.tensor(prompt + answer))
                    logits = llm(inputs_embeds=torch.cat([visual, text])[None]).logits[0]
                    predicted = logits[-len(answer) - 1 : -1]
                    losses.append(F.cross_entropy(predicted, torch.tensor(answer), reduction="none"))
                optimizer.zero_grad()
                torch.cat(losses).mean().backward()
                torch.nn.utils.clip_grad_norm_(net.parameters(), training.grad_norm)
                optimizer.step()
            results.append(torch.nn.utils.parameters_to_vector(net.parameters()).detach())
        exact = replace(task, features=task.features.double())
        trained = Executor("serial", 1).train(exact, start.repeat(3, 1), work, no_rule, training)
    finally:
        llm.float()
    torch.testing.assert_close(trained.params, torch.stack(results), rtol=0, atol=1e-6)


def test_set_marks_the_record_and_keeps_it_apart(run):
    plain, changed = run("fedavg"), run("fedavg", changes={"training.lr": 1e-2})
    assert not plain.scenario.changes and changed.scenario.changes == {"training.lr": 1e-2}
    assert plain.scenario.fingerprint != changed.scenario.fingerprint
    assert plain.rounds[-1].digest != changed.rounds[-1].digest


def test_a_foreign_record_is_refused(run, tmp_path):
    output = tmp_path / "runs"
    record = run("fedavg", output=output)
    (output / "tiny@1" / "fedavg" / "seed-0" / "record.json").write_text(
        record.model_copy(update={"run_id": "x"}).model_dump_json()
    )
    with pytest.raises(UsageError, match="another request"):
        run("fedavg", output=output)


def test_a_scenario_file_of_ones_own(runner, tiny, tmp_path):
    text = (tiny / "tiny.toml").read_text().replace('"tiny"', '"mine"')
    (tmp_path / "mine.toml").write_text(text)
    (tmp_path / "tiny.json").write_bytes((tiny / "tiny.json").read_bytes())
    asked = {"methods": ["fedavg"], "seeds": [0], "options": {}, "changes": {}, "output": tmp_path / "runs"}
    (job,) = plan_jobs(runner.catalog, scenarios=[str(tmp_path / "mine.toml")], **asked)
    record = read_record(runner.run(job))
    assert (record.scenario.name, record.scenario.provider.plugin) == ("mine", "file")
    with pytest.raises(UsageError, match="can't read the scenario"):
        plan_jobs(runner.catalog, scenarios=["nowhere.toml"], **asked)


def test_a_budget_ends_the_run_early_and_the_record_says_so(run):
    record = run("fedavg", changes={"budget.examples": 30})
    assert [entry.round for entry in record.rounds] == [0, 1] and record.costs.client_examples == 24
    assert record.stopped == "budget: 30 examples" and record.final
    assert not run("fedavg").stopped


def wait_for(condition, process, seconds=200):
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "timed out"
        if process.poll() is not None:
            return
        time.sleep(0.01)


LONG = ("--set", "federation.rounds=8")


@pytest.mark.slow
def test_interrupt_leaves_a_cancelled_record_and_exit_130(tiny, tmp_path):
    arguments = command("-m", "fedavg", *LONG, output=tmp_path)

    def heed_interrupts():
        """A test run in the background is started deaf to SIGINT, and so would be its children."""
        signal.signal(signal.SIGINT, signal.SIG_DFL)

    process = subprocess.Popen(arguments, stderr=subprocess.PIPE, text=True, preexec_fn=heed_interrupts)
    wait_for(lambda: list(tmp_path.rglob("round-*.safetensors")), process)
    process.send_signal(signal.SIGINT)
    _, said = process.communicate(timeout=60)
    assert process.returncode == 130, said
    (path,) = tmp_path.rglob("cancelled-*.json")
    cancelled = read_record(path)
    assert cancelled.status == "cancelled" and cancelled.rounds and not cancelled.final
    assert not list(tmp_path.rglob("record.json"))
    assert subprocess.run(arguments, capture_output=True, timeout=280).returncode == 0
    (record,) = find_records([tmp_path])
    assert read_record(record).status == "completed" and path.exists(), "nothing recorded is lost"


FAILING = """\
from fedbench import Aggregator, MethodSpec, hookimpl

class Broken(Aggregator):
    def __init__(self, options):
        pass

    def aggregate(self, state, cohort):
        raise ZeroDivisionError("the method's own fault")

@hookimpl
def fedbench_register_methods():
    yield MethodSpec("broken", "alignment", "broken_method.hooks:Broken", "fails")

@hookimpl
def fedbench_round_end(event):
    raise RuntimeError("a bad observer")
"""


def test_a_failing_method_and_observer_are_named_and_stop_nobody_else(tiny, tmp_path, monkeypatch, capsys):
    from conftest import install_plugin

    install_plugin(tmp_path / "plugins", "broken-method", {"hooks.py": FAILING})
    monkeypatch.syspath_prepend(str(tmp_path / "plugins"))
    arguments = ["run", "-s", "tiny", "-m", "broken", "-m", "fedavg", "--output", str(tmp_path / "runs")]
    monkeypatch.setattr(sys, "argv", ["fedbench", *arguments])
    with pytest.raises(SystemExit) as exit:
        main()
    said = capsys.readouterr()
    assert exit.value.code == 1
    assert "method 'broken' failed on tiny@1: ZeroDivisionError: the method's own fault" in said.err
    complaint = next(line for line in said.err.splitlines() if "a bad observer" in line)
    assert "broken-method:broken-method 1.0" in complaint and "fedbench_round_end" in complaint
    (failed,) = (tmp_path / "runs").rglob("failed-0001.json")
    assert read_record(failed).error.startswith("ZeroDivisionError")
    assert "fedavg" in said.out, "the other method ran"


def test_records_name_no_path_of_the_machine(run):
    text = run("fedavg").model_copy(update={"command": []}).model_dump_json()
    assert str(Path.cwd()) not in text


CHATTY = """\
import numpy as np
import torch
from fedbench import Aggregator, MethodSpec, Options, hookimpl

class Chatty(Aggregator):
    said = {"a": np.float32(0.5), "b": torch.tensor([1.0, float("nan")]), "c": {"d": np.arange(2)}}

    def __init__(self, options):
        self.options = options

    def aggregate(self, state, cohort):
        return {"params": cohort.weights @ cohort.params}

    def diagnostics(self, state):
        return self.said

class Odd(Chatty):
    said = {"what": object()}

class Required(Options):
    must: int

@hookimpl
def fedbench_register_methods():
    yield MethodSpec("chatty", "alignment", "chatty_method.hooks:Chatty", "says it in numpy and torch")
    yield MethodSpec("odd", "alignment", "chatty_method.hooks:Odd", "says what no record can hold")
    yield MethodSpec("needy", "alignment", "chatty_method.hooks:Chatty", "has no default", options=Required)
"""


def test_what_a_method_says_of_itself_becomes_plain_values(tiny, tmp_path, monkeypatch):
    from conftest import install_plugin

    install_plugin(tmp_path / "plugins", "chatty-method", {"hooks.py": CHATTY})
    monkeypatch.syspath_prepend(str(tmp_path / "plugins"))
    runner = Runner(Catalog(Plugins(strict=True)), choose_device("cpu"), "serial")

    def go(method, **options):
        asked = {"scenarios": ["tiny"], "seeds": [0], "changes": {}, "output": tmp_path / "runs"}
        (job,) = plan_jobs(runner.catalog, methods=[method], options=options, **asked)
        return runner.run(job)

    record = read_record(go("chatty"))
    assert record.rounds[-1].diagnostics == {"a": 0.5, "b": [1.0, None], "c": {"d": [0, 1]}}
    for _ in range(2):  # the failed attempt does not keep the folder locked
        with pytest.raises(FedbenchError, match=r"the method's diagnostics.what is a object"):
            go("odd")
    assert len(list((tmp_path / "runs").rglob("failed-*.json"))) == 2
    assert read_record(go("needy", must=3)).method.options == {"must": 3}


def test_a_primary_metric_that_nobody_computes_is_refused_before_anything_is_written(runner, tmp_path):
    for changes, problem in (
        ({"evaluation.primary": "unseen-concept/category/acc"}, "category has: accuracy, raw_accuracy"),
        ({"evaluation.metrics": ["choice"]}, "none of its metrics is for the form 'caption'"),
    ):
        (job,) = plan_jobs(
            runner.catalog, methods=["fedavg"], scenarios=["tiny"], seeds=[0], options={}, changes=changes,
            output=tmp_path / "runs",
        )  # fmt: skip
        with pytest.raises(UsageError, match=problem):
            runner.run(job)
    assert not (tmp_path / "runs").exists()


def test_worst_client_follows_the_measures_direction(run):
    record = run(
        "fedavg",
        changes={
            "evaluation.primary": "unseen-concept/caption/nll",
            "evaluation.each_round": ["unseen-concept/caption"],
        },
    )
    values = [measure.value for measure in record.rounds[-1].clients.values()]
    assert record.spread.worst == max(values)


def stop_at(patch, number, *, saved):
    """Ctrl-C once the round is logged, before or after its checkpoint is ``saved``."""
    save = checkpoint.save

    def stop(folder, kept):
        if saved or kept.state.round < number:
            save(folder, kept)
        if kept.state.round == number:
            raise KeyboardInterrupt

    patch.setattr(checkpoint, "save", stop)


def test_a_round_that_was_logged_and_not_checkpointed_is_made_again(run, runner, tmp_path, monkeypatch):
    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        stop_at(patch, 2, saved=False)
        run("fedavg")
    (log,) = tmp_path.rglob("rounds.jsonl")
    before = log.read_text().splitlines()
    record = run("fedavg")
    after = log.read_text().splitlines()
    assert len(before) == len(after) == len(record.rounds) == 3 and record.resumed
    assert before[:2] == after[:2] and before[2] != after[2], "its seconds are others"
    assert not (log.parent / "checkpoints").exists()


def test_a_run_that_begins_anew_begins_its_log_anew(run, runner, tmp_path, monkeypatch):
    first = run("fedavg")
    monkeypatch.setattr(runner, "again", True)
    second = run("fedavg")
    (log,) = tmp_path.rglob("rounds.jsonl")
    lines = [RoundEntry.model_validate_json(line) for line in log.read_text().splitlines()]
    assert lines == second.rounds != first.rounds


def test_a_profiled_run_has_the_same_bits_and_leaves_a_trace(run, runner, tmp_path, monkeypatch):
    plain = run("fedavg")
    monkeypatch.setattr(runner, "again", True)
    monkeypatch.setattr(runner, "profile", True)
    assert run("fedavg").without_times() == plain.without_times()
    (seconds,) = runner.profiles.values()
    assert list(seconds) == [*PARTS, "other"] and min(seconds.values()) >= 0
    assert seconds["training"] > 0 < seconds["final suites"]
    (trace,) = tmp_path.rglob("trace.json")
    events = json.loads(trace.read_text())["traceEvents"]
    assert {event["name"] for event in events} == {*PARTS, "round 0", "round 1", "round 2"}
    for part in PARTS:
        micros = sum(event["dur"] for event in events if event["name"] == part)
        assert micros / 1e6 == pytest.approx(seconds[part], abs=1e-4)
    monkeypatch.setattr(runner, "profile", False)
    run("fedavg")
    assert not trace.exists(), "it was of the run before"


@pytest.mark.parametrize("hours", [-1, 1])
def test_a_wall_clock_that_is_set_during_a_run_spoils_no_record(run, runner, tmp_path, monkeypatch, hours):
    """Every reading of it is an hour off the one before: the run is stopped once, and taken up."""
    readings, genuine = count(), datetime

    class SetAgainAndAgain(datetime):
        @classmethod
        def now(cls, tz=None):
            return genuine.now(tz) + next(readings) * timedelta(hours=hours)

    monkeypatch.setattr("fedbench.runs.clock.datetime", SetAgainAndAgain)
    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        stop_at(patch, 1, saved=True)
        run("fedavg")
    assert run("fedavg").resumed
    verdicts = {verdict.path.name: verdict for verdict in verify([tmp_path / "runs"], runner.catalog)}
    verdict = verdicts["record.json"]
    assert (verdict.level, verdict.problem) == (Level.consistent, "")


def test_a_resumed_run_keeps_the_chunk_that_fitted(run, runner, tmp_path, monkeypatch):
    """Memory runs out once, in round 1; whoever goes on after it computes in the smaller chunks too."""
    import fedbench.federation.executors as executors

    train, failed = executors.train_clients, []

    def cramped(task, start, *rest, **more):
        if len(start) > 2 and not failed:
            failed.append(True)
            raise torch.OutOfMemoryError("CUDA out of memory (simulated)")
        return train(task, start, *rest, **more)

    monkeypatch.setattr(runner, "executor", "batched")
    monkeypatch.setattr(executors, "train_clients", cramped)
    whole = run("scaffold", output=tmp_path / "whole")
    assert whole.environment["executor"] == {"name": "batched", "chunk": 1, "chosen": "name", "workers": 0}
    failed.clear()

    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        stop_at(patch, 1, saved=True)
        run("scaffold")
    assert failed and run("scaffold").without_times() == whole.without_times()
