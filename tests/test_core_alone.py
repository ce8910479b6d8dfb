"""The core runs with the plugins blocked that ship with it: what it needs itself is its own."""

from pathlib import Path

import pytest
from conftest import install_plugin

from fedbench.results.store import read_record

MOR = ("-o", "rounds=2", "-o", "steps=2", "-o", "width=8", "-o", "heads=2", "-o", "layers=1")
METHOD = """\
from fedbench import Aggregator


class Mean(Aggregator):
    def __init__(self, options):
        self.options = options

    def aggregate(self, state, cohort):
        return {"params": cohort.params.mean(0)}
"""
HOOKS = """\
from fedbench import MethodSpec, hookimpl


@hookimpl
def fedbench_register_methods():
    yield MethodSpec(
        name="plain-mean",
        track="alignment",
        factory="plain_mean.method:Mean",
        summary="an average",
    )
"""


def only_record():
    """The one record below the working directory."""
    (path,) = Path().rglob("record.json")
    return read_record(path)


@pytest.mark.parametrize("dry", [True, False])
def test_mor_needs_no_baseline(fedbench, toy_preferences, dry):
    arguments = ("-p", "no:baselines", "-p", "no:fedcmp", "run", "-s", "toy-preferences", "-m", "mor", *MOR)
    code, _, err = fedbench(*arguments, *(["--dry-run"] if dry else []))
    assert code == 0, err
    if not dry:
        assert only_record().status == "completed"


def test_a_strangers_method_needs_no_plugin_of_ours(fedbench, tiny, tmp_path, monkeypatch):
    files = {"hooks.py": HOOKS, "method.py": METHOD}
    install_plugin(tmp_path / "plugins", "plain-mean", files)
    monkeypatch.syspath_prepend(str(tmp_path / "plugins"))
    blocked = ("-p", "no:baselines", "-p", "no:fedcmp", "-p", "no:mor")
    code, _, err = fedbench(*blocked, "run", "-s", "tiny", "-m", "plain-mean")
    assert code == 0, err
    assert only_record().status == "completed"
