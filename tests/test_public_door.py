"""The public door: everything a plugin needs is exported, and plugins import nothing else."""

import ast
import doctest
import os
import subprocess
import sys
from importlib import import_module
from pathlib import Path

import house
import pytest

import fedbench
import fedbench.testing

ROOT = Path(__file__).parent.parent
DOORS = {"fedbench", "fedbench.testing"}
OUTSIDE = sorted(
    path
    for pattern in ("plugins/*/fedbench_*", "scenarios/*/fedbench_*", "scenarios/*/build")
    for folder in ROOT.glob(pattern)
    for path in folder.rglob("*.py")
)


HOME = {item.name: item.module for item in house.imports(ROOT / "fedbench" / "__init__.pyi")}
"""The module that defines each exported name."""


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
        assert HOME[name] == value.__module__


def test_type_checkers_see_the_names_that_are_exported():
    stub = ast.parse(Path(fedbench.__file__).with_suffix(".pyi").read_text(encoding="utf-8"))
    exported = {
        alias.asname for node in stub.body if isinstance(node, ast.ImportFrom) for alias in node.names
    }
    assert exported == set(fedbench.__all__) == set(HOME), "in a stub, `import X as X` exports X"


def test_an_unknown_name_is_an_attribute_error():
    with pytest.raises(AttributeError, match="No fedbench attribute Agregator"):
        fedbench.Agregator  # noqa: B018
    with pytest.raises(ImportError, match="cannot import name 'Agregator' from 'fedbench'"):
        from fedbench import Agregator  # noqa: F401


EXPORTS = {
    f"{door.__name__}.{name}": (door, name)
    for door in (fedbench, fedbench.testing)
    for name in door.__all__
    if not name.startswith("__")
}


def documentation(door, name):
    """{where: docstring} of an exported name, of its methods and of its fields; read from the source, since a
    constant or a field has its docstring behind it."""
    home = sys.modules[HOME[name]] if door is fedbench else sys.modules[getattr(door, name).__module__]
    body = ast.parse(Path(home.__file__).read_text(encoding="utf-8")).body
    found = dict(_docstrings(body))
    return {where: text for where, text in found.items() if where.split(".")[0] == name}


def _docstrings(body, inside=""):
    for node, after in zip(body, [*body[1:], None], strict=True):
        if isinstance(node, ast.ClassDef | ast.FunctionDef):
            yield f"{inside}{node.name}", ast.get_docstring(node) or ""
        if isinstance(node, ast.ClassDef):
            yield from _docstrings(node.body, f"{node.name}.")
        if isinstance(node, ast.Assign | ast.AnnAssign):
            target = node.target if isinstance(node, ast.AnnAssign) else node.targets[0]
            documented = isinstance(after, ast.Expr) and isinstance(after.value, ast.Constant)
            yield f"{inside}{ast.unparse(target)}", after.value.value if documented else ""


@pytest.mark.parametrize(("door", "name"), EXPORTS.values(), ids=EXPORTS)
def test_every_exported_name_has_an_example_that_runs(door, name, monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("FEDBENCH_CACHE", str(tmp_path))
    getattr(door, name)
    texts = documentation(door, name)
    assert ">>>" in texts[name], "its docstring has no example"
    for where, text in texts.items():
        example = doctest.DocTestParser().get_doctest(text, {}, where, None, 0)
        report = []
        doctest.DocTestRunner(optionflags=doctest.ELLIPSIS).run(example, out=report.append)
        assert not report, "".join(report)


def is_public(where):
    return not any(part.startswith("_") for part in where.split("."))


@pytest.mark.parametrize(("door", "name"), EXPORTS.values(), ids=EXPORTS)
def test_every_method_and_field_of_an_exported_name_is_documented(door, name):
    getattr(door, name)
    silent = [where for where, text in documentation(door, name).items() if is_public(where) and not text]
    assert not [where for where in silent if not _overrides(door, where)]


def _overrides(door, where):
    """Whether a base class says what this method does."""
    name, _, member = where.partition(".")
    bases = getattr(door, name).__mro__[1:]
    return any(vars(base).get(member) and vars(base)[member].__doc__ for base in bases)


CONTRACTS = "from fedbench import Aggregator, Cohort, MethodSpec, Options, RewardFuser, hookimpl"


@pytest.mark.parametrize("code", ["import fedbench", CONTRACTS], ids=["the door", "the contracts"])
def test_the_door_imports_neither_torch_nor_numpy(code):
    check = f"import sys; {code}; sys.exit(' '.join({{'torch', 'numpy'}} & set(sys.modules)) or 0)"
    done = subprocess.run(
        [sys.executable, "-c", check], capture_output=True, text=True, env=os.environ | {"PYTHONPATH": ""}
    )
    assert done.returncode == 0, done.stderr
