"""Server steps over 50 clients, beside the textbook expressions over the whole cohort: seconds, extra memory.

``pytest benchmarks/test_server_steps.py --benchmark-only -s``; of a million parameters each, or of
``FEDBENCH_PARAMETERS``. Nothing asserts on time; a slow test holds the memory to a tenth of the cohort's.
"""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from server_step import METHODS, cohort_of, ours, plain

CLIENTS = 50
PARAMETERS = int(os.environ.get("FEDBENCH_PARAMETERS", "1000000"))
SCRIPT = Path(__file__).with_name("server_step.py")
NEEDED = {"krum": 8.5, "median": 3, "trimmed-mean": 3}
"""Memory of the textbook expressions beside the cohort, in cohort matrices; 6 of the others at most."""


@pytest.fixture(scope="module")
def cohort():
    return cohort_of(CLIENTS, PARAMETERS)


def extra_memory(method, *arguments):
    """Of a step in a process of its own, as a share of the cohort's matrix [C, P]."""
    size = ("--clients", str(CLIENTS), "--parameters", str(PARAMETERS))
    command = [sys.executable, str(SCRIPT), method, *size, *arguments]
    return json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout)["share"]


@pytest.mark.parametrize("step", [ours, plain], ids=["fedbench", "textbook"])
@pytest.mark.parametrize("method", METHODS)
def test_server_step(benchmark, cohort, method, step):
    matrix = cohort.params.numel() * cohort.params.element_size()
    memory = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    if step is plain and (2 + NEEDED.get(method, 6)) * matrix > 0.5 * memory:
        pytest.skip("the textbook expression would not fit this machine's memory")
    benchmark.group = f"server step of {method}: {CLIENTS} clients, {PARAMETERS:,} parameters"
    benchmark.extra_info["extra memory / cohort"] = extra_memory(method, *["--plain"] * (step is plain))
    benchmark.pedantic(step(method, cohort), rounds=3, warmup_rounds=1)
    print(f"\n{method} {benchmark.stats.stats.min:.3f} s, {benchmark.extra_info}")
