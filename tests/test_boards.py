"""Board files: what they may say, and the four that ship."""

import tomllib
from pathlib import Path

import pytest

from fedbench.catalog import Catalog
from fedbench.errors import UsageError
from fedbench.leaderboard.boards import find_board, load_board
from fedbench.leaderboard.contest import open_board
from fedbench.plugins import Plugins

ROOT = Path(__file__).parent.parent
BOARDS = sorted((ROOT / "leaderboards").glob("*.toml"))

GOOD = """\
name = "mine"
title = "Mine"
summary = "a board"
track = "alignment"
scenarios = ["emoji-ii"]
"""


@pytest.fixture(scope="module")
def catalog():
    return Catalog(Plugins(strict=True))


def test_the_boards_that_ship_are_installed(catalog):
    names = [entry.name for entry in catalog.leaderboards.entries]
    assert names == [
        "alignment-nano",
        "alignment-papers",
        "preference-nano",
        "preference-papers",
        "tuning-nano",
        "tuning-ranks-nano",
    ]
    assert names == [path.stem for path in BOARDS]


@pytest.mark.parametrize("path", BOARDS, ids=lambda path: path.stem)
def test_a_board_that_ships_is_sound(path, catalog):
    board = find_board(path.stem, catalog)
    contest = open_board(board, catalog)
    if board.track == "alignment":
        assert not any(scenario.problem for scenario in contest.scenarios)
        assert None not in contest.anchor_contenders.values()
    for table in board.published:
        assert "arXiv" in table.source
    strangers = set(board.ours.values()) - {name for name, _ in contest.methods}
    assert not strangers
    labels = {name for table in board.published for name in table.rows}
    assert set(board.ours) <= labels


def test_the_wheel_has_the_boards():
    pyproject = tomllib.loads((ROOT / "pyproject.toml").read_text())
    packaged = pyproject["tool"]["hatch"]["build"]["targets"]["wheel"]["force-include"]
    assert packaged == {f"leaderboards/{p.name}": f"fedbench/leaderboard/boards/{p.name}" for p in BOARDS}


def test_a_board_of_ones_own(tmp_path, catalog):
    path = tmp_path / "mine.toml"
    path.write_text(GOOD)
    board = find_board(str(path), catalog)
    assert board.least_seeds == 3 and board.seeds == (0, 1, 2, 3, 4) and board.rules == "default"
    (scenario,) = open_board(board, catalog).scenarios
    assert scenario.title == "emoji-ii@2" and scenario.metric == "unseen-concept/category/accuracy"


def test_one_scenario_with_and_without_its_version_is_one(tmp_path):
    path = tmp_path / "mine.toml"
    path.write_text(GOOD.replace('["emoji-ii"]', '["emoji-ii", "emoji-ii@2"]'))
    with pytest.raises(UsageError, match="scenarios names one twice"):
        load_board(path)


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ('colour = "red"', "colour: Extra inputs are not permitted"),
        ("seeds = [0, 1]", "2 seeds are fewer than least_seeds 3"),
        ("seeds = [0, 1, 1]", "seeds names one twice"),
        ('[[published]]\ntitle = "x"\nsource = "y"\ncolumns = ["a", "method"]\n[published.rows]',
         "each column needs a name of its own"),
        ("seeds = [0, 1, -1]", "seeds.2: Input should be greater than or equal to 0"),
        ("least_seeds = 1", "least_seeds: Input should be greater than or equal to 2"),
        ('rules = "mine"', "rules: Input should be 'default' or 'tuned'"),
        ("[space.fedprox]\nmu = [0.1]", "space says nothing without rules = 'tuned'"),
        ('hardware = "abacus"', "hardware: Input should be"),
        ("title = ", "the board is not valid TOML"),
        ('[[published]]\ntitle = "x"\nsource = "y"\ncolumns = ["a"]\n[published.rows]\nZ = [1, 2]',
         "'Z' has 2 figures for 1 columns"),
        ('[[published]]\ntitle = "x"\nsource = "y"\ncolumns = ["a"]\nscenario = "z"\n[published.rows]',
         "published figures stand beside 'z', not one of its scenarios"),
    ],
)  # fmt: skip
def test_a_bad_board_is_one_line(tmp_path, line, said):
    path = tmp_path / "mine.toml"
    path.write_text(f"{GOOD}{line}\n")
    with pytest.raises(UsageError) as error:
        load_board(path)
    assert said in str(error.value) and str(path) in str(error.value) and "\n" not in str(error.value)


def test_a_board_is_called_as_its_file_is(tmp_path):
    path = tmp_path / "yours.toml"
    path.write_text(GOOD)
    with pytest.raises(UsageError, match="the board is called 'mine'"):
        load_board(path)
    with pytest.raises(UsageError, match="can't read the board"):
        load_board(tmp_path / "none.toml")


@pytest.mark.parametrize(
    ("scenario", "problem"),
    [
        ("emoji-ii@1", "version 2 is installed, the board is about emoji-ii@1"),
        ("emoji-zz", "it is not installed here"),
    ],
)
def test_what_is_not_installed_is_said_not_raised(tmp_path, catalog, scenario, problem):
    path = tmp_path / "mine.toml"
    path.write_text(GOOD.replace("emoji-ii", scenario))
    (found,) = open_board(load_board(path), catalog).scenarios
    assert found.problem == problem


def test_a_board_of_the_other_track_says_so(tmp_path, catalog):
    path = tmp_path / "mine.toml"
    path.write_text(GOOD.replace('track = "alignment"', 'track = "preference"'))
    contest = open_board(load_board(path), catalog)
    assert contest.scenarios[0].problem == "it is of the alignment track"
    assert contest.anchors.all == ("start", "gold-reward")
