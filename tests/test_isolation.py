"""One bad thing takes down nothing else: a run without a number, a damaged file, a full disk, a terminal."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pyarrow.parquet
import pytest
from conftest import example_record

import fedbench as door
from fedbench.errors import UsageError
from fedbench.results.store import find_records, write_record


@pytest.fixture
def runs(tmp_path):
    """A folder of four good runs, and how to put a further record there."""

    def put(name, **changes):
        return write_record(tmp_path / "runs" / name, example_record(**changes))

    for method, value in (("fedavg", 0.5), ("good", 0.6)):
        for seed in range(2):
            put(f"{method}-{seed}", method=method, seed=seed, value=value)
    return tmp_path / "runs", put


NO_NUMBER = [
    {"round": 0, "digest": "0" * 64},
    {"round": 1, "digest": "1" * 64, "undefined": ["unseen/category/accuracy"]},
]


def test_a_run_without_a_number_is_named_and_the_others_are_compared(fedbench, runs):
    folder, put = runs
    path = put("nan", method="good", seed=2, rounds=NO_NUMBER, final={}, spread=None)
    code, out, err = fedbench("compare", folder, "--format", "json")
    assert code == 0
    assert {(row["method"], tuple(row["seeds"])) for row in json.loads(out)} == {
        ("good", (0, 1)),
        ("fedavg", (0, 1)),
    }
    (line,) = err.splitlines()
    assert line == (
        f"left out: good seed 2 on made-up@1 has no unseen/category/accuracy in {path}:"
        " it was not measured, or is not a number"
    )
    shown = str(door.compare(folder))
    assert shown.endswith(line) and "0.6000" in shown


def test_a_run_without_a_number_breaks_a_bound(fedbench, runs):
    """A comparison that guards a change must not pass because a seed diverged."""
    folder, put = runs
    put("nan", method="good", seed=2, rounds=NO_NUMBER, final={}, spread=None)
    bound = ("--against", "fedavg", "--fail-on", "accuracy:-50%")
    for method in ("fedavg", "good"):
        for seed in range(3):
            source = folder / f"{method}-{seed}" if (method, seed) != ("good", 2) else folder / "nan"
            if source.is_dir():
                target = folder.parent / "named" / "made-up@1" / method / f"seed-{seed}"
                target.parent.mkdir(parents=True, exist_ok=True)
                source.rename(target)
    code, _, err = fedbench("compare", "fedavg", "good", *bound, "--records", folder.parent / "named")
    assert code == 1 and "left out: good seed 2" in err


def test_a_damaged_record_below_a_folder_is_named_and_the_others_are_compared(fedbench, runs, tmp_path):
    folder, put = runs
    torn = put("torn", method="good", seed=3)
    torn.write_text(torn.read_text()[:99])
    code, out, err = fedbench("compare", folder)
    assert code == 0 and out.count("0.6000") and err.startswith(f"left out: not a fedbench record in {torn}")
    code, out, err = fedbench("export", folder, "--to", tmp_path / "all.parquet")
    assert code == 1 and f"left out: not a fedbench record in {torn}" in err
    rows = pyarrow.parquet.read_table(tmp_path / "all.parquet").to_pylist()
    assert {(row["method"], row["seed"]) for row in rows} == {
        (m, s) for m in ("fedavg", "good") for s in (0, 1)
    }
    code, _, err = fedbench("compare", torn)
    assert code == 2 and f"not a fedbench record in {torn}" in err, "one that is named itself is an error"


@pytest.mark.parametrize("ending", ["csv", "parquet"])
def test_a_seed_that_no_table_can_hold_is_left_out_of_an_export_and_named(fedbench, runs, tmp_path, ending):
    folder, put = runs
    put("huge", method="good", seed=2**63)
    code, out, err = fedbench("export", folder, "--to", tmp_path / f"all.{ending}")
    assert code == 1 and out.strip() == str(tmp_path / f"all.{ending}")
    assert f"left out: good seed {2**63} on made-up does not fit the table's columns" in err
    assert str(2**63) not in (tmp_path / "all.csv").read_text() if ending == "csv" else True
    assert fedbench("export", folder, "--to", tmp_path / "each", "--format", "every-eval-ever")[0] == 0


@pytest.mark.parametrize("seed", [2**63, 10**30, True, 1.0, "0", None])
def test_a_seed_that_is_none_is_refused_before_anything_is_loaded(seed):
    with pytest.raises(UsageError, match=r"seed .*: seeds (go up to 9223372036854775807|are whole numbers)"):
        door.run("fedavg", seed=seed)


def test_a_record_that_can_not_be_a_log_leaves_the_other_logs(fedbench, runs, tmp_path):
    folder, put = runs
    put("odd", method="good", seed=4, finished="tomorrow")
    code, out, err = fedbench("export", folder, "--to", tmp_path / "out", "--format", "every-eval-ever")
    assert code == 1 and len(out.splitlines()) == 4 and "finished: Invalid isoformat" in err


def test_a_run_folder_may_be_a_link(fedbench, runs, tmp_path):
    folder, _ = runs
    elsewhere = write_record(tmp_path / "elsewhere" / "seed-7", example_record("good", 7, 0.7)).parent
    (folder / "good-7").symlink_to(elsewhere, target_is_directory=True)
    (folder / "all").symlink_to(folder, target_is_directory=True)
    assert len(find_records([folder])) == 5, "each record once, also where links make a circle"
    code, out, _ = fedbench("compare", folder, "--format", "json")
    assert code == 0 and max(map(len, (row["seeds"] for row in json.loads(out)))) == 3


def test_a_link_that_leads_nowhere_is_named(fedbench, runs, tmp_path):
    folder, _ = runs
    (folder / "good-8").symlink_to(tmp_path / "gone")
    code, _, err = fedbench("compare", folder)
    assert code == 0
    missing = folder / "good-8" / "record.json"
    assert err == f"left out: can't read the record in {missing}: No such file or directory\n"


def command(*arguments, env=None, **streams):
    done = subprocess.run(
        [sys.executable, "-m", "fedbench", *map(str, arguments)],
        env=os.environ | (env or {}), stderr=subprocess.PIPE, timeout=120, **streams,
    )  # fmt: skip
    return done.returncode, done.stdout, done.stderr.decode()


@pytest.mark.parametrize("arguments", [("list",), ("list", "--format", "json"), ("--help",), ("plugins",)])
def test_a_full_disk_behind_stdout_is_one_line(arguments):
    with Path("/dev/full").open("w") as full:
        code, _, err = command(*arguments, stdout=full)
    assert (code, err) == (1, "fedbench: can't read or write in the output: No space left on device\n")


@pytest.mark.parametrize("encoding", ["cp1252", "latin-1", "ascii", "cp437"])
def test_a_terminal_that_lacks_a_character_shows_another(encoding):
    code, out, err = command("list", env={"PYTHONIOENCODING": encoding}, stdout=subprocess.PIPE)
    assert (code, err) == (0, "") and "fed-cmp" in out.decode(encoding)
    code, out, _ = command("show", "scenario", "emoji-dirichlet", "--format", "json", stdout=subprocess.PIPE)
    assert code == 0 and json.loads(out)


def test_a_stderr_that_can_not_be_written_stops_nothing():
    with Path("/dev/full").open("w") as full:
        done = subprocess.run(
            [sys.executable, "-m", "fedbench", "list", "--no-such-option"], stderr=full, timeout=120
        )
    assert done.returncode == 2
