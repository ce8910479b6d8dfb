"""The ladder: what verification makes of a file, alone, among others, and after it was run again."""

from pathlib import Path

from records_of_ours import PLACE, RECORDS, edited, put, values

from fedbench.leaderboard.notes import notes
from fedbench.verification.ladder import Level, run_again, verify


def test_every_committed_record_is_consistent(catalog):
    verdicts = verify([RECORDS], catalog)
    assert len(verdicts) >= 265
    assert [(v.path, v.problem) for v in verdicts if v.level != Level.consistent] == []


def test_an_honest_record_passes_alone(verdict_of):
    assert verdict_of(values()) == ("consistent", "")


def test_a_second_record_of_a_seed(catalog, tmp_path):
    first = put(tmp_path / "a", values())
    second = put(tmp_path / "b", edited(lambda r: r.update(wall_seconds=r["wall_seconds"] + 0.5)))
    one, two = verify([first, second], catalog)
    assert one.level == Level.consistent
    assert two.problem == f"a second record of this seed: {first} is the first"


def test_chosen_seeds_count_on_no_board(catalog, tmp_path):
    """Seeds 1 and 2 without 0, with all the anchors' there."""
    for method in ("start", "local", "centralized", "fedavg", "fedprox"):
        for seed in range(3):
            place = Path("emoji-tt@1", method, f"seed-{seed}", "record.json")
            if (method, seed) != ("fedprox", 0):
                put(tmp_path, values(place), place)
    verdicts = verify([tmp_path], catalog)
    told = notes(catalog, verdicts)
    mine = [v for v in verdicts if v.run.method.name == "fedprox"]
    assert len(told) == len(mine) == 2
    assert {told[v.run.id] for v in mine} == {"seed 0 is missing, and seeds after a gap may be chosen ones"}


def test_a_check_that_breaks_is_not_passed(catalog, tmp_path, monkeypatch):
    from fedbench.verification import ladder as module

    def broken(record, scenario, *, is_ceiling):
        raise ZeroDivisionError("<b>")

    monkeypatch.setattr(module, "inconsistencies", broken)
    (verdict,) = verify([put(tmp_path, values())], catalog)
    assert (verdict.level, verdict.problem) == (Level.valid, "it can't be checked: ZeroDivisionError: ?b?")


def test_a_sample_is_run_again(catalog, tmp_path):
    for seed in range(3):
        place = PLACE.parent.parent / f"seed-{seed}" / "record.json"
        put(tmp_path, values(place), place)
    verdicts = verify([tmp_path], catalog)
    again = []

    def replay(path):
        again.append(path)
        return "round 1: a run gives other parameters" if "seed-2" in str(path) else ""

    replayed = run_again(verdicts, Level.replayed, replay)
    assert [(v.level.name, v.fails(Level.replayed)) for v in replayed] == [
        ("replayed", False), ("replayed", False), ("consistent", True)
    ]  # fmt: skip
    again.clear()
    sampled = run_again(verdicts, Level.replayed, replay, sample=1, seed=4)
    assert len(again) == 1 and sum(v.level == Level.replayed for v in sampled) <= 1
    assert not any(v.fails(Level.replayed) for v in sampled if v.path not in again)
    first = list(again)
    run_again(verdicts, Level.replayed, replay, sample=1, seed=4)
    assert again == first * 2
    again.clear()
    run_again(verdicts, Level.replayed, replay, sample=5, can_run=lambda run: run.seed == 1)
    assert again and all("seed-1" in str(path) for path in again), "what can't be run here is not drawn"
