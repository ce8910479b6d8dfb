"""The house rules: imports go down, the core knows no method, plugins use public names, listing is light."""

import ast
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from conftest import example_record

from fedbench.catalog import Catalog
from fedbench.plugins import Plugins
from fedbench.results.store import write_record

ROOT = Path(__file__).parent.parent
CORE = ROOT / "fedbench"
FLOORS = (
    "errors rng fingerprint files",
    "api",
    "plugins catalog params environment",
    "data models evaluation",
    "federation results",
    "runs verification",
    "alignment preference leaderboard",
    "jobs runner replay builtins",
    "cli testing __main__",
)
FLOOR = {part: floor for floor, parts in enumerate(FLOORS) for part in parts.split()}
MODULES = sorted(path for path in CORE.rglob("*.py") if path != CORE / "__init__.py")


def named(path):
    return str(path.relative_to(ROOT))


def fedbench_imports(path):
    """(line, module, name) of every import from fedbench, also inside functions; not for type checking."""

    def walk(node):
        if isinstance(node, ast.If) and ast.unparse(node.test) in ("TYPE_CHECKING", "typing.TYPE_CHECKING"):
            for other in node.orelse:
                yield from walk(other)
            return
        if isinstance(node, ast.Import):
            yield from ((node.lineno, alias.name, "") for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert not node.level, f"{path}, line {node.lineno}: the house style has no relative imports"
            yield from ((node.lineno, node.module, alias.name) for alias in node.names)
        for child in ast.iter_child_nodes(node):
            yield from walk(child)

    for line, module, name in walk(ast.parse(path.read_text(encoding="utf-8"))):
        if module.split(".")[0] == "fedbench":
            yield line, module, name


def part_of(module, name=""):
    """The part of the house that an import reaches; "" for the façade, which only re-exports."""
    below = [*module.split(".")[1:], name]
    return below[0] if below[0] in FLOOR else ""


@pytest.mark.parametrize("path", MODULES, ids=named)
def test_imports_only_go_down_a_floor(path):
    part = path.relative_to(CORE).parts[0].removesuffix(".py")
    assert part in FLOOR, f"say in docs/design.md and here on which floor {part} is"
    upward = [
        f"line {line}: {part} (floor {FLOOR[part]}) imports {module} (floor {FLOOR[target]})"
        for line, module, name in fedbench_imports(path)
        if (target := part_of(module, name)) and FLOOR[target] > FLOOR[part]
    ]
    assert not upward


def test_an_import_that_goes_up_is_seen(tmp_path):
    source = "def late():\n    from fedbench import cli\n    import fedbench.runner\n"
    (tmp_path / "x.py").write_text(source)
    assert [part_of(module, name) for _, module, name in fedbench_imports(tmp_path / "x.py")] == [
        "cli", "runner"
    ]  # fmt: skip


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
    """Only the default of ``run --scenario`` may."""
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
    usual = {("fedbench/cli/run.py", name) for name in ("emoji-ii", "prefs-emoji-tasks")}
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
    records = str(CORE.parent / "leaderboards" / "records")
    run = f"{records}/emoji-tt@1/fedavg/seed-0"
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
