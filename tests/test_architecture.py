"""The house rules: imports go down, the core knows no method, plugins use public names, listing is light."""

import ast
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import house
import pytest
from conftest import example_record

from fedbench.catalog import Catalog
from fedbench.plugins import Plugins
from fedbench.results.store import write_record

ROOT = Path(__file__).parent.parent
CORE = ROOT / "fedbench"
FLOORS = (
    "errors rng fingerprint files git params process_state",
    "api",
    "factories plugins registry resolution evaluation_defaults catalog inheritance scenario_files"
    " scenario_text environment source_code numerics",
    "data models evaluation",
    "federation results",
    "runs verification",
    "alignment preference leaderboard",
    "jobs observers run_record run_profile attempt runner progress replay board_runs builtins"
    " installed matrix experiments analysis",
    "cli testing __main__",
)
FLOOR = {part: floor for floor, parts in enumerate(FLOORS) for part in parts.split()}
MODULES = sorted(path for path in CORE.rglob("*.py") if path != CORE / "__init__.py")


def named(path):
    return str(path.relative_to(ROOT))


def part_of(item):
    """The part of the house that an import reaches; "" for the public door, which only re-exports."""
    below = [*item.module.split(".")[1:], item.name]
    return below[0] if below[0] in FLOOR else ""


@pytest.mark.parametrize("path", MODULES, ids=named)
def test_imports_only_go_down_a_floor(path):
    """Everywhere in the module: inside functions and under ``TYPE_CHECKING`` as well."""
    part = path.relative_to(CORE).parts[0].removesuffix(".py")
    assert part in FLOOR, f"say in docs/design.md and here on which floor {part} is"
    upward = [
        f"line {item.line}: {part} (floor {FLOOR[part]}) imports {item.module} (floor {FLOOR[target]})"
        for item in house.imports(path)
        if (target := part_of(item)) and FLOOR[target] > FLOOR[part]
    ]
    assert not upward


def test_no_modules_import_each_other():
    graph = house.import_graph(CORE)
    assert len(graph) > 100
    assert not house.circles(graph)
    assert not house.circles(house.folder_graph(graph))


def listed(measure):
    return [(named(path), *entry) for path in MODULES for entry in measure(path)]


def test_calls_are_made_by_keyword():
    """No call has six or more positional arguments."""
    assert not listed(house.positional_calls)


def test_the_formatter_is_never_switched_off():
    assert not listed(lambda path: [(line,) for line in house.format_skips(path)])


def test_nothing_is_named_by_a_retired_word():
    assert not listed(house.retired_names)


def test_everything_public_is_documented():
    """Classes, functions, methods; every field of events, specs and records."""
    assert not house.undocumented(CORE)


def test_a_circle_is_seen_wherever_its_imports_stand(tmp_path):
    sources = {
        "__init__": "",
        "a": "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    from p import b\n",
        "b": "def late():\n    import p.inner.c\n",
        "inner/__init__": "",
        "inner/c": "from p.a import x\n",
        "inner/d": "from p import a\n",
    }
    (tmp_path / "p" / "inner").mkdir(parents=True)
    for name, source in sources.items():
        (tmp_path / "p" / f"{name}.py").write_text(source)
    graph = house.import_graph(tmp_path / "p")
    assert house.circles(graph) == [["p.a", "p.b", "p.inner.c"]]
    assert house.circles(house.folder_graph(graph)) == [["p.a", "p.b", "p.inner"]]


def test_an_import_that_goes_up_is_seen(tmp_path):
    source = "def late():\n    from fedbench import cli\n    import fedbench.runner\n"
    (tmp_path / "x.py").write_text(source)
    assert [part_of(item) for item in house.imports(tmp_path / "x.py")] == ["cli", "runner"]


def test_what_is_undocumented_is_seen(tmp_path):
    (tmp_path / "api").mkdir()
    source = '''
class Event:
    """An event."""
    unexplained: int
    explained: int
    "What it is."
    described: int = Field(0, description="what it is")
    _private: int

    def method(self): ...
    def _helper(self): ...
'''
    (tmp_path / "api" / "events.py").write_text(source)
    missing = [line.partition(": ")[2] for line in house.undocumented(tmp_path)]
    assert missing == ["Event.method", "Event.unexplained"]


def test_a_long_positional_call_is_seen(tmp_path):
    (tmp_path / "x.py").write_text(
        "f(1, 2, 3, 4, 5)\na.g(1, 2, 3, 4, 5, *rest)\nh(1, 2, a=3, b=4, c=5, d=6)\n"
    )
    assert house.positional_calls(tmp_path / "x.py") == [(2, 6, "a.g")]


@pytest.fixture(scope="module")
def catalog():
    return Catalog(Plugins(strict=True))


def test_the_core_names_no_plugin_package(catalog):
    shelves = (catalog.methods, catalog.datasets, catalog.backbones)
    packages = {entry.spec.factory.split(".")[0] for shelf in shelves for entry in shelf.entries}
    assert {"fedbench_baselines", "fedbench_fedcmp", "fedbench_emoji"} <= packages
    for path in CORE.rglob("*.py"):
        text = path.read_text(encoding="utf-8")
        assert not [package for package in packages if package in text], path


def test_the_core_names_no_scenario_data_set_or_backbone(catalog):
    """Only the scenarios that are run when none is named."""
    names = {
        entry.name
        for shelf in (catalog.scenarios, catalog.datasets, catalog.backbones)
        for entry in shelf.entries
    }
    found = [
        (named(path), node.value)
        for path in MODULES
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.Constant) and node.value in names
    ]
    usual = {("fedbench/matrix.py", name) for name in ("emoji-ii", "prefs-emoji-tasks")}
    assert set(found) <= usual


LIGHT = """
import json, sys
from fedbench.cli.main import cli

for arguments in json.loads(sys.argv[1]):
    try:
        code = cli.main(arguments, standalone_mode=False)
    except SystemExit as exit:
        code = exit.code
    heavy = sorted({*sys.argv[2:]} & set(sys.modules))
    if code or heavy:
        sys.exit(f"{arguments}: exit code {code}, imported {heavy}")
"""


HEAVY = {"torch", "transformers", "datasets", "evaluate", "scipy", "matplotlib"}


def light(commands, heavy):
    """The commands, in one fresh process, import nothing heavy."""
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", LIGHT, json.dumps(commands), *heavy],
        capture_output=True, text=True, timeout=120, env={**os.environ, "PYTHONPATH": ""},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr


def test_looking_around_never_imports_torch(tmp_path):
    record = write_record(tmp_path, example_record())
    kinds = ("methods", "scenarios", "backbones", "datasets", "partitioners", "metrics")
    (scenario,) = CORE.parent.glob("scenarios/*/fedbench_*/scenarios/emoji-ii.toml")
    commands = [
        ["list"], *(["list", kind] for kind in kinds), ["list", "--format", "json"],
        ["plugins"], ["--help"], ["run", "--help"],
        ["show", "method", "fedavg"], ["show", "method", "fed-cmp"], ["show", "--help"],
        ["show", "record", str(record)],
        ["compare", str(tmp_path)],
        ["validate", str(scenario), str(record)], ["validate", "--schema"],
    ]  # fmt: skip
    light(commands, HEAVY)


def test_leaderboards_never_import_torch(tmp_path):
    """Intervals take scipy, the rest not even that; only running records again takes torch."""
    records, own = str(tmp_path / "board"), "emoji-tt@1"
    shutil.copytree(ROOT / "leaderboards" / "records" / own, f"{records}/{own}")
    run = f"{records}/{own}/fedavg/seed-0"
    light([["leaderboard", "show"], ["leaderboard", "--help"], ["leaderboard", "verify", "--help"]], HEAVY)
    light([["export", run, "--to", str(tmp_path / "x.parquet")]], HEAVY)
    light(
        [
            ["leaderboard", "show", "alignment-nano", "--records", records],
            ["leaderboard", "verify", run],
            ["leaderboard", "add", run, "--records", str(tmp_path / "records")],
            ["compare", "fedavg", "fed-cmp", "--records", records],
        ],
        HEAVY - {"scipy"},
    )
    build = ["leaderboard", "build", "alignment-papers", "--records", str(tmp_path / "records")]
    light([build], HEAVY - {"scipy", "matplotlib"})


def test_showing_a_scenario_and_drawing_it_load_its_data_only(tmp_path):
    show = ["show", "scenario", "emoji-ii"]
    light([show], HEAVY - {"scipy"})
    light([[*show, "--picture", str(tmp_path / "clients.svg")]], HEAVY - {"scipy", "matplotlib"})
