"""The core runs without plugins: what they register is missing, nothing else is, and the command says so."""

import json
from importlib.metadata import entry_points

import pytest

from fedbench.results.store import read_record

SMALL_ROUTER = {"mor.rounds": 2, "mor.steps": 2, "mor.width": 8, "mor.heads": 2, "mor.layers": 1}
FLOWS = {
    "fed-cmp": ("-m", "fed-cmp", "-s", "tiny"),
    "mor": (
        *("-m", "mor", "-s", "toy-preferences"),
        *(part for key, value in SMALL_ROUTER.items() for part in ("-o", f"{key}={value}")),
    ),
}


def every_plugin():
    return sorted(point.name for point in entry_points(group="fedbench"))


def without(*names):
    return [part for name in names for part in ("-p", f"no:{name}")]


@pytest.mark.parametrize("flow", FLOWS)
def test_a_run_without_the_baselines_gives_the_same_record(flow, fedbench, toy_preferences, tmp_path):
    """A plan, a run, and what is done with its record; the same bits as with the baselines installed."""
    blocked = without("baselines")
    arguments = ("run", *FLOWS[flow], "--device", "cpu", "--executor", "serial", "--output")
    code, _, err = fedbench(*blocked, *arguments, tmp_path / "planned", "--dry-run")
    assert code == 0, err
    records = []
    for folder, switches in (("without", blocked), ("with", [])):
        code, _, err = fedbench(*switches, *arguments, tmp_path / folder)
        assert code == 0, err
        records += tmp_path.glob(f"{folder}/*/*/*/record.json")
    alone, usual = map(read_record, records)
    assert alone.rounds[-1].digest == usual.rounds[-1].digest
    assert alone.final == usual.final and alone.data == usual.data
    for command in (("show", "record"), ("validate",), ("compare",)):
        code, out, err = fedbench(*blocked, *command, records[0])
        assert code == 0 and (out or command == ("validate",)), err


@pytest.mark.parametrize("which", ["baselines", "all"])
def test_looking_around_works_without_plugins(which, fedbench, toy_preferences):
    blocked = every_plugin() if which == "all" else [which]
    switches = without(*blocked)
    for command in (("list",), ("plugins",), ("env",), ("list", "--format", "json"), ("leaderboard", "show")):
        code, _, err = fedbench(*switches, *command)
        assert (code, err) == (0, ""), command
    listed = json.loads(fedbench(*switches, "list", "--format", "json")[1])
    assert not [row for row in listed if row["provider"].split()[0] in blocked]
    rows = json.loads(fedbench(*switches, "plugins", "--format", "json")[1])
    assert {row["status"] for row in rows if row["plugin"].split(":")[-1] in blocked} == {"blocked"}


def test_a_board_is_shown_without_the_baselines(fedbench, tmp_path):
    code, out, err = fedbench(
        *without("baselines"), "leaderboard", "show", "alignment-nano", "--records", tmp_path
    )
    assert code == 0 and "Federated alignment, nano" in out, err


def test_without_any_plugin_a_run_says_in_a_line_what_is_missing(fedbench, tiny):
    code, out, err = fedbench(*without(*every_plugin()), "run", "-m", "fed-cmp", "-s", tiny / "tiny.toml")
    assert (code, out) == (2, "") and len(err.splitlines()) == 1
    assert "fed-cmp" in err
    code, out, err = fedbench(*without(*every_plugin()), "validate", tiny / "tiny.toml")
    assert code == 1 and "tiny.toml" in out + err
