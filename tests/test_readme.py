"""The README's plugins, as they are printed, keep every promise that methods keep."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from conftest import install_plugin

from fedbench.testing import toy_rounds

README = (Path(__file__).parent.parent / "README.md").read_text(encoding="utf-8")
CODE = re.findall(r"```python\n(.*?)```", README, re.DOTALL)

FUSER_HOOKS = """\
from fedbench import MethodSpec, hookimpl

@hookimpl
def fedbench_register_methods():
    yield MethodSpec("my-fuser", "preference", "my_fuser.fuser:MyFuser", "what it does in a line")
"""
FUSER_TEST = """\
from fedbench.testing import RewardFuserContract

class TestMyFuser(RewardFuserContract):
    method = "my-fuser"
"""


def block(text):
    (found,) = (code for code in CODE if text in code)
    return found


def test_the_plugins_of_the_readme_keep_the_contract(tmp_path):
    method = {"method.py": block("class MyMethod"), "hooks.py": block('name="my-method"')}
    install_plugin(tmp_path, "my-method", method)
    install_plugin(tmp_path, "my-fuser", {"fuser.py": block("class MyFuser"), "hooks.py": FUSER_HOOKS})
    (tmp_path / "test_my_method.py").write_text(block("class TestMyMethod"))
    (tmp_path / "test_my_fuser.py").write_text(FUSER_TEST)
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", str(tmp_path)],
        env=os.environ | {"PYTHONPATH": str(tmp_path)},
        cwd=tmp_path,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert re.search(r"\b1[0-9] passed", done.stdout)


def test_the_readmes_fedper_keeps_the_last_layer_with_each_client():
    names = {}
    for text in ("class MyMethod", "class FedPer"):
        exec(block(text), names)
    rounds = toy_rounds(names["FedPer"](None), clients=3)
    assert set(rounds[-1].after.client_state) == {"params"}
    assert rounds[0].costs.uplink_bytes < toy_rounds(names["MyMethod"](None))[0].costs.uplink_bytes


@pytest.mark.slow
def test_the_method_of_the_readme_installs_and_runs_as_printed(tmp_path):
    """Files named by their first lines, pip and the command, in an environment of its own."""
    files = re.findall(r"```(?:python|toml)\n# (\S+\.(?:py|toml))[^\n]*\n(.*?)```", README, re.DOTALL)
    project = tmp_path / "project"
    (project / "my_method").mkdir(parents=True)
    (project / "my_method" / "__init__.py").touch()
    for name, content in files:
        if name.startswith(("my_method/", "pyproject.toml", "test_my_method.py")):
            (project / name).write_text(content)
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", tmp_path / "venv"], check=True)
    python = tmp_path / "venv" / "bin" / "python"
    (site,) = (tmp_path / "venv" / "lib").glob("python*/site-packages")
    lines = (f"import site; site.addsitedir({folder!r})" for folder in sys.path if "site-packages" in folder)
    (site / "installed-here.pth").write_text("\n".join(lines))
    pip = [sys.executable, "-m", "pip", "--python", python, "install", "--quiet", "--no-deps"]
    run(*pip, "--no-build-isolation", "--editable", ".", cwd=project)
    shown = run(python, "-m", "fedbench", "show", "method", "my-method", cwd=project)
    assert "what it does in a line" in shown
    run(python, "-m", "pytest", "-q", "-p", "no:cacheprovider", "test_my_method.py", cwd=project)
    run(python, "-m", "fedbench", "run", "--dry-run", "-m", "my-method", cwd=project)


def run(*command, cwd):
    """A command's standard output; it must succeed."""
    done = subprocess.run([*map(str, command)], cwd=cwd, capture_output=True, text=True, timeout=250)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout
