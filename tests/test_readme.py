"""The README's plugins, as they are printed, keep every promise that methods keep."""

import os
import re
import subprocess
import sys
from pathlib import Path

from conftest import install_plugin

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
        env=os.environ | {"PYTHONPATH": str(tmp_path)}, cwd=tmp_path, capture_output=True, text=True,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    assert re.search(r"\b1[0-9] passed", done.stdout)
