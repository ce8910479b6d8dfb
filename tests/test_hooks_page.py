"""docs/hooks.md: every hook with its signature; the plugin that its examples make up works."""

import inspect
import json
import os
import re
import subprocess
import sys
from dataclasses import fields
from pathlib import Path

import pytest
from conftest import install_plugin

from fedbench.api import events, hookspecs

PAGE = (Path(__file__).parent.parent / "docs" / "hooks.md").read_text(encoding="utf-8")
HOOKS = {name: hook for name, hook in vars(hookspecs).items() if name.startswith("fedbench_")}
SECTIONS = dict(
    re.findall(r"^## (\w+)\n(.*?)(?=^#|\Z)", re.sub(r"(?m)^# (?=hospitals/)", "@", PAGE), re.M | re.S)
)


def signature(hook):
    """``name(event: RunStart) -> None``, as the code has it."""
    return f"{hook.__name__}{inspect.signature(hook)}".replace("'", "")


def text(markdown):
    """Plain words: without code marks and line breaks."""
    return " ".join(markdown.replace("`", "").split())


def test_the_page_has_every_hook_in_the_order_of_the_code():
    assert list(SECTIONS) == list(HOOKS)


@pytest.mark.parametrize("name", HOOKS)
def test_a_section_has_the_signature_and_says_when_the_hook_is_called(name):
    (shown,) = re.findall(r"```text\n(.*?)\n```", SECTIONS[name], re.S)
    assert shown == signature(HOOKS[name])
    assert "@hookimpl" in SECTIONS[name] and f"def {name}(" in SECTIONS[name]
    when = text(inspect.getdoc(HOOKS[name])).partition("Called ")[2].split(".")[0].split(";")[0].split(",")[0]
    assert when and f"Called {when}" in text(SECTIONS[name])


@pytest.mark.parametrize("name", [name for name in HOOKS if "register" not in name])
def test_a_section_names_every_field_of_its_event(name):
    kind = getattr(events, inspect.signature(HOOKS[name]).parameters["event"].annotation)
    shared = {field.name for field in fields(events.RunEvent)}
    assert all(f"`{field.name}`" in SECTIONS[name] for field in fields(kind) if field.name not in shared)


@pytest.fixture(scope="module")
def hospitals(tmp_path_factory):
    """The plugin of the page, installed in a folder: blocks of one file are put together in order."""
    folder = tmp_path_factory.mktemp("hospitals")
    files = {}
    for file, content in re.findall(r"^```(?:python|toml)\n# hospitals/(\S+)\n(.*?)^```", PAGE, re.M | re.S):
        files[file] = files.get(file, "") + content + "\n\n"
    install_plugin(folder, "hospitals", files)
    return folder


def fedbench(hospitals, *arguments, cwd):
    environment = os.environ | {"PYTHONPATH": str(hospitals), "FEDBENCH_CACHE": str(hospitals / "cache")}
    command = [sys.executable, "-m", "fedbench", "--strict-plugins", *arguments]
    done = subprocess.run(command, capture_output=True, text=True, timeout=250, env=environment, cwd=cwd)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_the_plugin_implements_every_hook(hospitals, tmp_path):
    rows = json.loads(fedbench(hospitals, "plugins", "--format", "json", cwd=tmp_path))
    (row,) = (row for row in rows if row["plugin"].startswith("hospitals:"))
    assert row["status"] == "active"
    assert {f"fedbench_{hook.strip()}" for hook in row["hooks"].split(",")} == set(HOOKS)


def test_its_command_is_there(hospitals, tmp_path):
    assert fedbench(hospitals, "hospitals", cwd=tmp_path) == "north south east west\n"


def test_its_scenario_runs_with_its_method_and_its_observers_hear_of_it(hospitals, tmp_path):
    fedbench(hospitals, "run", "-m", "damped", "-s", "four-hospitals", "-o", "damped.step=1.0", cwd=tmp_path)
    lines = [json.loads(line) for line in (tmp_path / "hospitals.jsonl").read_text().splitlines()]
    assert [line["what"] for line in lines] == ["start", "round", "round", "round", "end"]
    (path,) = tmp_path.rglob("record.json")
    record = json.loads(path.read_text())
    measured = {"test/shade/accuracy", "test/word/words", "test/darkness/grade_error"}
    assert (
        measured <= set(record["final"]) and 0 <= record["final"]["test/darkness/grade_error"]["value"] <= 1
    )
    by = {
        name: [metric["form"], metric["provider"]["plugin"], metric["form_provider"]["plugin"]]
        for name, metric in record["measured_by"].items()
    }
    assert by == {
        "choice": ["choice", "core", "core"],
        "answer-length": ["generate", "hospitals", "core"],
        "grade-error": ["graded", "hospitals", "hospitals"],
    }
    assert {"fedbench", "hospitals"} <= set(record["identity"]["code"])


def test_its_board_is_built_and_published_by_its_publisher(hospitals, tmp_path):
    (tmp_path / "records").mkdir()
    arguments = ["leaderboard", "publish", "hospitals", "--to", "folder:there", "--records", "records"]
    fedbench(hospitals, *arguments, cwd=tmp_path)
    assert "Four hospitals" in (tmp_path / "there" / "boards" / "hospitals" / "index.html").read_text()


def test_its_method_keeps_the_contract(hospitals, tmp_path):
    test = "class TestDamped(AggregatorContract):\n    method = 'damped'\n"
    (tmp_path / "test_damped.py").write_text(f"from fedbench.testing import AggregatorContract\n\n\n{test}")
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", str(tmp_path)]
    environment = os.environ | {"PYTHONPATH": str(hospitals)}
    done = subprocess.run(command, env=environment, cwd=tmp_path, capture_output=True, text=True, timeout=250)
    assert done.returncode == 0, done.stdout + done.stderr
