"""Kill a run anywhere, issue the same command again: the record is that of a run that nobody stopped.

Real processes, really killed. What each kill leaves is checked: nothing half-written can be seen.
"""

import json
import shutil
import signal
import struct
import time
from dataclasses import replace
from functools import cache
from itertools import count, pairwise

import pytest
import torch
from attempts import PHASES, POLICY_PHASES, Asked, Attempts
from conftest import mostly_slow

from fedbench.errors import UsageError
from fedbench.federation import checkpoint
from fedbench.federation.round_log import RoundLog, read_log
from fedbench.federation.run_state import RunState
from fedbench.results.records import RoundEntry
from fedbench.results.store import read_record
from fedbench.rng import numpy_stream

SHORT = {
    "evaluation.each_round": ["unseen-concept/category"],
    "evaluation.final": ["unseen-concept/category"],
    "evaluation.controls": [],
}
QUICK = SHORT | {
    "data.options.items": 8,
    "data.options.texts_per_view": 1,
    "training.batch_size": 32,
    "training.hidden": 8,
    "federation.cohort": 2,
}
LONG = SHORT | {"federation.rounds": 6, "evaluation.controls": ["shuffled"]}
FAULTY = LONG | {"federation.cohort": 2, "faults.straggling": 0.5, "faults.late": "next-round"}
ADAPTERS = LONG | {
    "training.trainable": "projector+lora",
    "training.lora.rank": 4,
    "training.lora.alpha": 8,
    "federation.cohort": 2,
    "federation.epochs": 1,
    "federation.speed": [1.0, 0.5, 1.0],
    "modality.image_text": 2,
    "modality.text_only": 1,
}
METHODS = {
    "scaffold": LONG,
    "moon": LONG,
    "fedadam": LONG,
    "fed-cmp": LONG,
    "fedavg": FAULTY,
    "flora": ADAPTERS,
    "fedsa-lora": ADAPTERS,
}
ONCE = {"prepare", "final", "record", "discard"}
KILLS = 6
CPU = torch.device("cpu")


class Run:
    """One request in one folder, attempted as often as it takes."""

    scenario = "tiny"

    def __init__(self, attempts, root, method, changes, executor="serial"):
        sets = [part for key, value in changes.items() for part in ("--set", f"{key}={json.dumps(value)}")]
        self.arguments = (
            "run",
            "-s",
            self.scenario,
            "-m",
            method,
            *sets,
            "--device",
            "cpu",
            "--executor",
            executor,
        )
        self.attempts, self.root = attempts, root
        root.mkdir(parents=True)

    @property
    def folder(self):
        (found,) = self.root.glob("runs/*/*/seed-0")
        return found

    def start(self, said="said", **dies):
        arguments = (*self.arguments, "--output", str(self.root / "runs"))
        return self.attempts.start(Asked(arguments, self.root / said, self.root / "runs", **dies))

    def finish(self):
        """Attempt it once more and read the record; what was said."""
        attempt = self.start()
        assert attempt.end() == 0, attempt.said
        return read_record(self.folder / "record.json"), attempt.said

    def assert_sound(self, reference):
        """Whatever can be seen is whole but for the log's last line, and a beginning of the reference."""
        if not self.root.joinpath("runs").exists() or not list(self.root.glob("runs/*/*/seed-0")):
            return
        record, log, checkpoints = (
            self.folder / name for name in ("record.json", "rounds.jsonl", "checkpoints")
        )
        if record.exists():
            assert_same(read_record(record), reference)
        if log.exists():
            lines = log.read_text().split("\n")[:-1]  # the last one may be torn
            assert_beginning([RoundEntry.model_validate_json(line) for line in lines], reference)
        said = []
        newest = checkpoint.load(checkpoints, reference.run_id, log=log, device=CPU, warn=said.append)
        if newest is not None:
            lines = read_log(log, newest.log).splitlines()
            assert_beginning([RoundEntry.model_validate_json(line) for line in lines], reference)
            assert len(lines) == newest.state.round + 1
        assert not said and len(list(checkpoints.glob("round-*"))) <= checkpoint.FILES_KEPT + 1
        assert len(list(self.folder.rglob(".*.part"))) <= 1, "what earlier attempts left was removed"

    def assert_complete(self, reference):
        record = read_record(self.folder / "record.json")
        assert_same(record, reference)
        left = {path.name for path in self.folder.iterdir()} - {".lock"}
        assert left == {"record.json", "rounds.jsonl"}
        log = (self.folder / "rounds.jsonl").read_text().splitlines()
        assert [RoundEntry.model_validate_json(line) for line in log] == record.rounds


def assert_same(record, reference):
    assert record.without_times() == reference.without_times()
    assert record.record_id == record.sealed().record_id


def assert_beginning(entries, reference):
    def plain(rounds):
        return reference.model_copy(update={"rounds": rounds}).without_times()["rounds"]

    assert plain(entries) == plain(reference.rounds[: len(entries)])


@pytest.fixture(scope="module")
def attempts(tiny):
    server = Attempts("tiny", [QUICK, LONG, FAULTY, ADAPTERS])
    yield server
    server.close()


@pytest.fixture(scope="module")
def attempts_at_policies(toy_preferences):
    server = Attempts("toy-preferences", [{}])
    yield server
    server.close()


@pytest.fixture(scope="module")
def reference(attempts, tmp_path_factory):
    """``reference(method, changes)``: the record of an uninterrupted run and its phases' seconds."""

    @cache
    def reference(method, changes):
        run = Run(attempts, tmp_path_factory.mktemp("whole") / method, method, dict(changes))
        attempt = run.start()
        entered = [(phase, time.perf_counter()) for phase in attempt.phases()]
        assert attempt.end() == 0, attempt.said
        seconds = {phase: after - begin for (phase, begin), (_, after) in pairwise(entered)}
        return read_record(run.folder / "record.json"), seconds

    return lambda method, changes: reference(method, Hashed(changes))


class PolicyRun(Run):
    """Of the preference track, under the options that make a router small."""

    scenario = "toy-preferences"

    def __init__(self, attempts, root, method):
        super().__init__(attempts, root, method, {})
        small = {"mor.rounds": 2, "mor.steps": 2, "mor.width": 8, "mor.heads": 2, "mor.layers": 1}
        if method == "mor":
            self.arguments += tuple(part for key, value in small.items() for part in ("-o", f"{key}={value}"))


class Hashed(dict):
    def __hash__(self):
        return hash(json.dumps(self, sort_keys=True))


@pytest.mark.parametrize("method", mostly_slow(METHODS, "scaffold"))
def test_killed_at_random_moments(method, attempts, reference, tmp_path):
    """Every phase has its turn over the methods; within it, when is drawn."""
    whole, seconds = reference(method, METHODS[method])
    begin = KILLS * list(METHODS).index(method)
    moments = numpy_stream(0, "kills", method)
    runs = (Run(attempts, tmp_path / str(number), method, METHODS[method]) for number in count())
    run, killed = next(runs), 0
    while killed < KILLS:
        phase = list(PHASES)[(begin + killed) % len(PHASES)]
        nth, share = 1 if phase in ONCE else int(moments.integers(1, 3)), moments.random()
        attempt = run.start(prepared=phase != "prepare")
        if attempt.reaches(phase, nth):
            time.sleep(share * seconds.get(phase, 1e-3))
            attempt.kill()
        code = attempt.end()
        print(f"{method}: {share:.2f} into {phase} {nth}: ended with {code} in {attempt.phase}")
        if code == -signal.SIGKILL:
            killed += 1
            run.assert_sound(whole)
        else:  # it was too late; that doesn't count
            assert code == 0, attempt.said
            run.assert_complete(whole)
            run = next(runs)
    run.finish()
    run.assert_complete(whole)


@pytest.mark.slow
@pytest.mark.parametrize("method", ["mor", "fedavg-dpo"])
def test_a_policys_training_killed_at_random_moments(method, attempts_at_policies, tmp_path):
    """In the middle of fitting, of the router, of a GRPO step; the reward models are fitted anew each time
    that they were not fitted to the end."""
    whole, _ = PolicyRun(attempts_at_policies, tmp_path / "whole", method).finish()
    moments = numpy_stream(0, "kills", method)
    phases = [*PHASES, *(POLICY_PHASES if method == "mor" else ())]
    for kill, phase in enumerate(phases):
        run = PolicyRun(attempts_at_policies, tmp_path / str(kill), method)
        attempt = run.start(cache=tmp_path / f"cache {kill}")
        nth = 1 if phase in (*ONCE, "fit", "write reward models") else int(moments.integers(1, 4))
        assert attempt.reaches(phase, nth), attempt.said
        time.sleep(float(moments.random()) * 0.02)
        attempt.kill()
        if attempt.end() == -signal.SIGKILL:
            run.assert_sound(whole)
            run.finish()
        run.assert_complete(whole)


@pytest.mark.slow
def test_killed_before_every_change_of_a_file(attempts, tmp_path):
    whole, _ = Run(attempts, tmp_path / "whole", "scaffold", QUICK, "batched").finish()
    for number in count(1):
        run = Run(attempts, tmp_path / str(number), "scaffold", QUICK, "batched")
        attempt = run.start(dies_before=number)
        code = attempt.end()
        if code == 0:
            break
        assert code == -signal.SIGKILL, attempt.said
        run.assert_sound(whole)
        run.finish()
        run.assert_complete(whole)
    print(f"scaffold: killed before each of {number - 1} changes")
    assert number > 30


@pytest.mark.parametrize("phase, nth", [("checkpoint", 3), ("log", 6), ("record", 1)])
@pytest.mark.parametrize("full", mostly_slow([False, True], False), ids=["killed", "full"])
def test_a_torn_write_is_never_seen(phase, nth, full, attempts, reference, tmp_path):
    """The process dies in the middle of writing a file, or the disk is full."""
    whole, _ = reference("scaffold", LONG)
    run = Run(attempts, tmp_path / "run", "scaffold", LONG)
    attempt = run.start(tears=(phase, nth), full=full)
    code = attempt.end()
    if full:
        assert code == 1 and "can't read or write in" in attempt.said
    else:
        assert code == -signal.SIGXFSZ, attempt.said
    assert len(list(run.folder.rglob(".*.part"))) == (phase != "log" and not full)
    run.assert_sound(whole)
    run.finish()
    for left in run.folder.glob("failed-*.json"):  # where the full disk had room for it
        assert full and read_record(left).status == "failed"
        left.unlink()
    run.assert_complete(whole)


@pytest.fixture(scope="module")
def stopped(attempts, tmp_path_factory):
    """SCAFFOLD killed in round 4: the checkpoints of rounds 2 and 3 are there."""
    run = Run(attempts, tmp_path_factory.mktemp("stopped") / "run", "scaffold", LONG)
    attempt = run.start()
    assert attempt.reaches("train", 4)
    attempt.kill()
    assert attempt.end() == -signal.SIGKILL
    names = sorted(path.name for path in (run.folder / "checkpoints").iterdir())
    assert names == ["round-00002.safetensors", "round-00003.safetensors"]
    return run


@pytest.fixture
def copy(attempts, stopped, tmp_path):
    """The stopped run, to do with as one likes."""
    run = Run(attempts, tmp_path / "run", "scaffold", LONG)
    shutil.copytree(stopped.root / "runs", run.root / "runs")
    return run


def flipped(content, position, bit=0):
    return content[:position] + bytes([content[position] ^ 1 << bit]) + content[position + 1 :]


DAMAGES = {
    "empty": lambda content: b"",
    "truncated": lambda content: content[: len(content) // 2],
    "last byte lost": lambda content: content[:-1],
    "bit of a tensor": lambda content: flipped(content, len(content) - 40_000),
    "bit of the log": lambda content: flipped(content, content.index(b"client_examples") + 19),
    "bit of the header's length": lambda content: flipped(content, 1),
}


@pytest.mark.parametrize("damage", mostly_slow(DAMAGES, "truncated", "bit of a tensor"))
def test_a_damaged_newest_checkpoint_is_passed_over(damage, copy, reference):
    newest = max((copy.folder / "checkpoints").iterdir())
    newest.write_bytes(DAMAGES[damage](newest.read_bytes()))
    _, said = copy.finish()
    assert (
        f"can't go on from checkpoint {newest}: it is damaged" in said and "taking up after round 2" in said
    )
    copy.assert_complete(reference("scaffold", LONG)[0])


def test_with_no_sound_checkpoint_the_run_says_what_to_do(copy, reference):
    checkpoints = copy.folder / "checkpoints"
    for path in checkpoints.iterdir():
        path.write_bytes(path.read_bytes()[:1000])
    attempt = copy.start()
    assert attempt.end() == 2
    *_, last = attempt.said.splitlines()
    assert last.startswith("fedbench: no checkpoint can be taken up") and f"delete {checkpoints}" in last
    shutil.rmtree(checkpoints)
    copy.finish()
    assert_same(read_record(copy.folder / "record.json"), reference("scaffold", LONG)[0])


def test_a_log_that_lost_its_last_round_leads_to_the_checkpoint_before(copy, reference):
    log = copy.folder / "rounds.jsonl"
    log.write_bytes(log.read_bytes()[:-5])
    _, said = copy.finish()
    assert f"the round log {log} has lost its end; trying the one before it" in said
    assert "taking up after round 2" in said
    copy.assert_complete(reference("scaffold", LONG)[0])


def test_what_follows_the_newest_checkpoint_in_the_log_is_cut_off(copy, reference):
    with (copy.folder / "rounds.jsonl").open("a") as log:
        log.write('{"round": 4}\n{"rou')
    _, said = copy.finish()
    assert "taking up after round 3" in said
    copy.assert_complete(reference("scaffold", LONG)[0])


LOG_DAMAGES = {
    "bit of the first round": (lambda log: log.write_bytes(flipped(log.read_bytes(), 9)), "is damaged"),
    "shortened": (lambda log: log.write_bytes(log.read_bytes()[:100]), "has lost its end"),
    "removed": (lambda log: log.unlink(), "is gone"),
}


@pytest.mark.parametrize("damage", mostly_slow(LOG_DAMAGES, "bit of the first round"))
def test_with_no_sound_log_the_run_says_what_to_do(damage, copy, reference):
    log, checkpoints = copy.folder / "rounds.jsonl", copy.folder / "checkpoints"
    spoil, why = LOG_DAMAGES[damage]
    spoil(log)
    attempt = copy.start()
    assert attempt.end() == 2
    *_, last = attempt.said.splitlines()
    assert last == (
        f"fedbench: no checkpoint can be taken up in {checkpoints}: the round log {log} {why}"
        f" — delete {checkpoints} to start the run over"
    )
    shutil.rmtree(checkpoints)
    for left in copy.folder.glob("failed-*.json"):
        left.unlink()
    copy.finish()
    copy.assert_complete(reference("scaffold", LONG)[0])


def test_neither_a_flipped_bit_nor_a_missing_byte_goes_unnoticed(tmp_path):
    state, client_state = {"params": torch.arange(6.0)}, {"control": torch.ones(2, 3)}
    log = RoundLog(tmp_path / "rounds.jsonl")
    log.append("{}")
    saved = checkpoint.Checkpoint(
        run_id="run",
        identity={},
        state=RunState(round=1, state=state, client_state=client_state),
        log=log.mark,
        executor={"chunk": 1},
        started="now",
        seconds=1.0,
    )
    checkpoint.save(tmp_path / "checkpoints", saved)
    (path,) = (tmp_path / "checkpoints").iterdir()
    whole = path.read_bytes()
    (header,) = struct.unpack("<Q", whole[:8])
    assert len(whole) == 8 + header + 4 * (6 + 2 * 3)
    flips = [flipped(whole, position, bit=position % 8) for position in range(len(whole))]
    for content in (*flips, *(whole[:length] for length in range(len(whole)))):
        path.write_bytes(content)
        with pytest.raises(UsageError, match="no checkpoint can be taken up"):
            checkpoint.load(path.parent, "run", log=log.path, device=CPU, warn=lambda line: None)


def test_a_second_process_says_so_and_leaves(attempts, reference, tmp_path):
    run = Run(attempts, tmp_path / "run", "scaffold", LONG)
    first = run.start()
    assert first.reaches("train", 2)
    first.stop()
    second = run.start(said="second")
    assert second.end() == 2
    assert f"another process is running this in {run.folder}" in second.said
    first.go_on()
    assert first.end() == 0, first.said
    run.assert_complete(reference("scaffold", LONG)[0])


def test_a_resumed_run_counts_the_seconds_of_all_its_attempts(copy, reference):
    checkpoints = copy.folder / "checkpoints"
    run_id, log = reference("scaffold", LONG)[0].run_id, copy.folder / "rounds.jsonl"
    saved = checkpoint.load(checkpoints, run_id, log=log, device=CPU, warn=print)
    assert saved.seconds > 0
    checkpoint.save(checkpoints, replace(saved, seconds=1e6, started="2026-01-01T00:00:00+00:00"))
    record, _ = copy.finish()
    assert record.resumed and record.wall_seconds > 1e6 and record.started.startswith("2026-01-01")
