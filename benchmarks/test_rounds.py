"""What a round costs to keep, log and checkpoint, with 10, 1,000 and 10,000 rounds behind it.

That must not grow with the rounds; taking a run up and the record at its end, not faster than the rounds do.

``pytest benchmarks/test_rounds.py --benchmark-only``
"""

from pathlib import Path

import pytest
import torch

from fedbench.federation import checkpoint
from fedbench.federation.round_log import RoundLog
from fedbench.federation.run_state import RunState
from fedbench.results.records import RoundEntry
from fedbench.results.store import read_record, write_record

RECORD = Path(__file__).parent.parent / "leaderboards/records/emoji-ii@2/fedavg/seed-0/record.json"
BEHIND = (10, 1_000, 10_000)


@pytest.fixture(scope="module")
def record():
    return read_record(RECORD)


def numbered(entry, number):
    return entry.model_copy(update={"round": number})


def log_of(folder, record, behind):
    """The log of so many rounds like the record's last."""
    log = RoundLog(folder / "rounds.jsonl")
    for number in range(behind):
        log.append(numbered(record.rounds[-1], number).model_dump_json())
    return log


@pytest.mark.parametrize("behind", BEHIND)
def test_a_round_is_kept(benchmark, record, tmp_path, behind):
    """A state of 10 numbers; the round and the identity are those of a real run."""
    log, last = log_of(tmp_path, record, behind), record.rounds[-1]

    def keep():
        keep.round += 1
        log.append(numbered(last, keep.round).model_dump_json())
        checkpoint.save(
            tmp_path / "checkpoints",
            checkpoint.Checkpoint(
                run_id=record.run_id,
                identity=record.identity.model_dump(mode="json") if record.identity else {},
                state=RunState(round=keep.round, state={"params": torch.zeros(10)}, client_state={}),
                log=log.mark,
                executor={"name": "batched", "chunk": 5},
                started=record.started,
                seconds=1.0,
            ),
        )

    keep.round = behind
    benchmark.pedantic(keep, rounds=30, warmup_rounds=3)


@pytest.mark.parametrize("behind", BEHIND)
def test_a_run_is_taken_up(benchmark, record, tmp_path, behind):
    log = log_of(tmp_path, record, behind)

    def take_up():
        lines = RoundLog(log.path).go_on(log.mark)
        return [RoundEntry.model_validate_json(line) for line in lines]

    assert len(benchmark.pedantic(take_up, rounds=3)) == behind


@pytest.mark.parametrize("behind", BEHIND)
def test_the_record_is_sealed_and_written(benchmark, record, tmp_path, behind):
    rounds = [numbered(record.rounds[-1], number) for number in range(behind)]
    long = record.model_copy(update={"rounds": rounds})
    benchmark.pedantic(lambda: write_record(tmp_path, long.sealed(), replace=True), rounds=3)
