"""The public door: everything a plugin needs is exported, and plugins import nothing else."""

import ast
import os
import subprocess
import sys
from importlib import import_module
from pathlib import Path

import pytest

import fedbench

ROOT = Path(__file__).parent.parent
DOORS = {"fedbench", "fedbench.testing"}
OUTSIDE = sorted(
    path
    for pattern in ("plugins/*/fedbench_*", "scenarios/*/fedbench_*", "scenarios/*/build")
    for folder in ROOT.glob(pattern)
    for path in folder.rglob("*.py")
)


def named(path):
    return str(path.relative_to(ROOT))


def imported(path):
    """(module, name) of every import in a file, also inside functions and for type checkers."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from ((alias.name, "") for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield from ((node.module or ".", alias.name) for alias in node.names)


@pytest.mark.parametrize("path", OUTSIDE, ids=named)
def test_plugins_and_scenarios_import_from_the_public_door_only(path):
    for module, name in imported(path):
        if module.split(".")[0] == "fedbench":
            assert module in DOORS, f"{module}.{name}"
            assert not name or name in import_module(module).__all__, f"{module} exports no {name}"


def test_the_rule_sees_every_plugin_and_build_script():
    seen = {path.parent.name for path in OUTSIDE}
    assert {"fedbench_baselines", "fedbench_mor", "fedbench_papers", "fedbench_preferences", "build"} <= seen


@pytest.mark.parametrize("name", fedbench.__all__)
def test_every_exported_name_is_there_and_has_one_home(name):
    value = getattr(fedbench, name)
    assert name in dir(fedbench)
    if isinstance(value, type):
        assert fedbench._HOME[name] == value.__module__


def test_type_checkers_see_the_names_that_are_exported():
    (block,) = (
        node for node in ast.parse(Path(fedbench.__file__).read_text()).body if isinstance(node, ast.If)
    )
    seen = {alias.asname: node.module for node in block.body for alias in node.names}
    assert seen == fedbench._HOME


def test_an_unknown_name_is_an_attribute_error():
    with pytest.raises(AttributeError, match="module 'fedbench' has no attribute 'Agregator'"):
        fedbench.Agregator  # noqa: B018
    with pytest.raises(ImportError, match="cannot import name 'Agregator' from 'fedbench'"):
        from fedbench import Agregator  # noqa: F401


CONTRACTS = "from fedbench import Aggregator, Cohort, MethodSpec, Options, RewardFuser, hookimpl"


@pytest.mark.parametrize("code", ["import fedbench", CONTRACTS], ids=["the door", "the contracts"])
def test_the_door_imports_neither_torch_nor_numpy(code):
    check = f"import sys; {code}; sys.exit(' '.join({{'torch', 'numpy'}} & set(sys.modules)) or 0)"
    done = subprocess.run(
        [sys.executable, "-c", check], capture_output=True, text=True, env=os.environ | {"PYTHONPATH": ""}
    )
    assert done.returncode == 0, done.stderr
