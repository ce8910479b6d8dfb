"""The benchmark of a LoRA round: its sides train to the same parameters, and its file has a row for each."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

SCRIPT = Path(__file__).parents[1] / "benchmarks" / "lora_round.py"


@pytest.mark.slow
def test_every_side_trains_as_peft_does(tmp_path):
    pytest.importorskip("peft")
    out = tmp_path / "lora-round.json"
    size = ["--ragged", "2", "--equal", "--steps", "2", "--repeats", "1", "--rounds", "1", "--out", str(out)]
    environment = os.environ | {"PYTHONPATH": str(SCRIPT.parent)}
    done = subprocess.run(
        [sys.executable, str(SCRIPT), *size], capture_output=True, text=True, env=environment, timeout=500
    )
    assert done.returncode == 0, done.stderr
    rows = json.loads(out.read_text())["rows"]
    times = {row["name"]: row for row in rows if row["unit"] == "s"}
    assert set(times) == {"peft models in a loop", "fedbench, serial", "fedbench, one pass"}
    assert all(row["counts"] == "yes" and row["value"] > 0 for row in times.values())
    assert {row["unit"] for row in rows} == {"s", "MB", "training's own memory, MB"}
