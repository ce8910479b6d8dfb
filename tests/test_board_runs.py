"""``fedbench leaderboard run``: which runs a board lacks, and what becomes of their records."""

import json

import pytest

from fedbench.board_runs import board_jobs
from fedbench.catalog import Catalog
from fedbench.leaderboard.boards import find_board, load_board
from fedbench.leaderboard.contest import open_board
from fedbench.plugins import Plugins

BOARD = """\
name = "mine"
title = "Mine"
summary = "three rounds of nothing"
track = "alignment"
scenarios = ["tiny"]
methods = ["fedprox"]
seeds = [0, 1]
least_seeds = 2
"""


@pytest.fixture
def board(tiny, tmp_path):
    path = tmp_path / "mine.toml"
    path.write_text(BOARD)
    return path


def rows(fedbench, *arguments):
    code, out, err = fedbench("leaderboard", "run", *arguments, "--dry-run", "--format", "json")
    assert code == 0, err
    return [(row["seed"], row["method"], row["status"]) for row in json.loads(out)], err


def test_first_seeds_and_anchors_come_first(fedbench, board):
    found, _ = rows(fedbench, board)
    methods = ["start", "local", "centralized", "fedavg", "fedprox"]
    assert [(seed, method) for seed, method, _ in found] == [(s, m) for s in (0, 1) for m in methods]


def test_a_board_is_filled_and_then_there_is_nothing_to_do(fedbench, board, tmp_path):
    records = tmp_path / "results" / "records"
    records.mkdir(parents=True)
    asked = (board, "--missing", "--records", records, "-m", "start", "-m", "fedavg", "--seeds", "0")
    code, out, err = fedbench("leaderboard", "run", *asked, "--output", tmp_path / "runs", "--format", "json")
    assert code == 0, err
    added = json.loads(out)
    assert {row["lies at"] for row in added} == {
        str(records / "tiny@1" / method / "seed-0" / "record.json") for method in ("start", "fedavg")
    }
    record = json.loads((records / "tiny@1" / "fedavg" / "seed-0" / "record.json").read_text())
    threads = str(record["identity"]["threads"])
    command = "fedbench run -m baselines/fedavg -s tiny-scenario/tiny --seeds 0 --device cpu"
    assert " ".join(record["command"]) == f"{command} --executor batched:3 --threads {threads}"
    assert rows(fedbench, *asked)[0] == []
    found, err = rows(fedbench, *asked[:4])
    assert "2 of 10 runs have records" in err and (0, "fedavg", "to run") not in found
    assert "fedavg" in fedbench("leaderboard", "show", board, "--records", records)[1]


def test_what_a_method_cannot_be_run_on_is_passed_over(tiny):
    catalog = Catalog(Plugins())
    contest = open_board(find_board("preference-nano", catalog), catalog)
    jobs = board_jobs(contest, catalog, output=tiny / "runs", seeds=[3])
    names = {(job.method_entry.name, job.scenario.name) for job in jobs}
    assert ("reward-fedavg", "prefs-heterogeneous") not in names
    assert ("reward-fedavg", "prefs-domains") in names and {job.seed for job in jobs} == {3}


def test_under_tuned_rules_the_grid_is_run_up_to_the_limit(board, tmp_path):
    text = BOARD.replace('methods = ["fedprox"]', 'methods = ["fedprox"]\nrules = "tuned"\nmost_trials = 2')
    board.write_text(text + "[space.fedprox]\nmu = [0.1, 0.2, 0.3]\n")
    catalog = Catalog(Plugins())
    jobs = board_jobs(open_board(load_board(board), catalog), catalog, output=tmp_path, methods=["fedprox"])
    assert [(job.seed, job.options.mu) for job in jobs] == [(0, 0.1), (0, 0.2), (1, 0.1), (1, 0.2)]


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["--seeds", "7"], "seed 7 is not one of mine's — it has 0, 1"),
        (["-s", "tinny"], "mine has no scenario 'tinny' — did you mean 'tiny'?"),
        (["-m", "fedprix"], "did you mean 'fedprox'?"),
        (["-m", "mor"], "is for the preference track"),
    ],
)
def test_what_the_board_has_not_is_one_line(fedbench, board, words, says):
    code, out, err = fedbench("leaderboard", "run", board, *words, "--dry-run")
    assert (code, out) == (2, "") and says in err and err.count("\n") == 1
