"""Adding records to a folder: where they belong, and what keeps them out."""

import json
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from records_of_ours import PLACE, PROX, edited, everywhere, proximal, put, values

from fedbench.errors import FedbenchError, UsageError
from fedbench.leaderboard.adding import add
from fedbench.verification.ladder import verify


def test_the_successor_of_a_retired_record_finds_a_place(catalog, tmp_path):
    """The folder says nothing of versions: it is taken, and records are never moved."""
    put(tmp_path / "records", proximal({}, "0.0.1"), PROX)
    new = put(tmp_path / "runs", values(PROX), PROX)
    (added,) = add([new], tmp_path / "records", catalog)
    assert added.new and added.target.parent.parent.name.startswith("fedprox+")
    verdicts = verify([tmp_path / "records"], catalog)
    assert sorted(v.level.name for v in verdicts) == ["consistent", "retired"]


def test_records_are_added_where_they_belong(catalog, tmp_path):
    run = put(tmp_path / "runs" / "somewhere", values(), Path("record.json"))
    (added,) = add([tmp_path / "runs"], tmp_path / "records", catalog)
    assert added.new and added.target == tmp_path / "records" / PLACE
    assert added.target.read_bytes() == run.read_bytes()
    (again,) = add([run], tmp_path / "records", catalog)
    assert not again.new and again.target == added.target


def test_nobody_is_added_whom_those_that_are_there_would_not_survive(catalog, tmp_path):
    """Three new records that agree with each other outvote the two that lie there."""
    for seed in range(2):
        put(tmp_path / "records", values(p := PLACE.parent.parent / f"seed-{seed}" / "record.json"), p)
    for seed in (2, 3, 4):
        place = PLACE.parent.parent / f"seed-{seed}" / "record.json"
        other = edited(lambda r: r["data"].update(partition_fingerprint="0" * 64), place)
        put(tmp_path / "runs", other, place)
    with pytest.raises(FedbenchError, match=r"these can't be added beside .*what was federated"):
        add([tmp_path / "runs"], tmp_path / "records", catalog)
    assert len(list((tmp_path / "records").rglob("record.json"))) == 2


def test_a_broken_record_that_lies_there_is_named(catalog, tmp_path):
    broken = put(tmp_path / "records", values())
    broken.write_bytes(broken.read_bytes()[:1000])
    put(tmp_path / "runs", values(place := PLACE.parent.parent / "seed-1" / "record.json"), place)
    with pytest.raises(UsageError, match=rf"not a fedbench record in {broken}"):
        add([tmp_path / "runs"], tmp_path / "records", catalog)


def test_a_bad_record_keeps_all_from_being_added(catalog, tmp_path):
    put(tmp_path / "runs", values())
    other = Path("emoji-tt@1", "fedavg", "seed-1", "record.json")
    put(tmp_path / "runs", edited(lambda r: everywhere(r, 0.9), other), other)
    with pytest.raises(FedbenchError, match=r"seed-1/record.json can't be added: .* not a count out of 476"):
        add([tmp_path / "runs"], tmp_path / "records", catalog)
    assert not (tmp_path / "records").exists()


def test_another_record_of_a_seed_is_not_added(catalog, tmp_path):
    put(tmp_path / "records", values())
    other = put(tmp_path / "runs", edited(lambda r: r.update(wall_seconds=r["wall_seconds"] + 0.5)))
    with pytest.raises(FedbenchError, match="a second record of this seed"):
        add([other], tmp_path / "records", catalog)
    assert json.loads((tmp_path / "records" / PLACE).read_text()) == values()


def test_two_submissions_race_and_one_wins(catalog, tmp_path):
    """Both are checked before either is written: the second to write finds the place taken."""
    runs = [
        put(tmp_path / str(i), edited(lambda r, i=i: r.update(wall_seconds=r["wall_seconds"] + i / 10)))
        for i in range(8)
    ]

    def submit(run):
        try:
            return add([run], tmp_path / "records", catalog)[0].source
        except FedbenchError as error:
            return str(error)

    with ThreadPoolExecutor(8) as pool:
        outcomes = list(pool.map(submit, runs))
    (winner,) = [outcome for outcome in outcomes if isinstance(outcome, Path)]
    refusals = [outcome for outcome in outcomes if outcome != winner]
    said = ("a record is never overwritten", "a second record of this seed")
    assert all(any(words in refusal for words in said) for refusal in refusals)
    assert (tmp_path / "records" / PLACE).read_bytes() == winner.read_bytes()
    left = [path for path in (tmp_path / "records").rglob("*") if path.is_file()]
    assert left == [tmp_path / "records" / PLACE]
