"""What a round costs as one thing grows: ``make bench-scaling``. Each point is a process of its own.

A least-squares line through the logarithms of the last three points of an axis is its exponent; the first
ones show what a round costs whatever its size.
"""

import argparse
import json
import shlex
import subprocess
import sys
from pathlib import Path

import numpy as np
from result_file import RESULTS, row, write

SCRIPT = Path(__file__).with_name("federated_rounds.py")
AXES = {
    "clients": ({"cohort": 10}, [10, 100, 1_000, 10_000]),
    "cohort": ({"clients": 500}, [5, 50, 500]),
    "cohort of a large model": (
        {"parameters": 1_000_000, "axis": "cohort", "clients": 1_000, "executor": "serial"},
        [10, 100, 1_000],
    ),
    "parameters": ({"clients": 5, "cohort": 5}, [100_000, 1_000_000, 10_000_000, 100_000_000]),
    "rounds": ({"clients": 10, "cohort": 10, "measure": 20}, [10, 100, 1_000, 10_000]),
    "examples": ({"clients": 10, "cohort": 10}, [1_000, 10_000, 100_000, 1_000_000]),
}
"""By axis: what stays the same, and the points."""


def measured(axis, at, fixed):
    """Seconds of a round and the process's peak memory at one point."""
    fixed = dict(fixed)
    words = fixed | {fixed.pop("axis", axis): at}
    words.pop("axis", None)
    command = [
        sys.executable,
        str(SCRIPT),
        *(part for key, value in words.items() for part in (f"--{key}", str(value))),
    ]
    return json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout)


def exponent(points, values):
    """The slope of the last three points on logarithmic axes."""
    return float(np.polyfit(np.log(points[-3:]), np.log(values[-3:]), 1)[0])


def main():
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--axes", nargs="*", default=list(AXES), choices=list(AXES))
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--out", type=Path, default=RESULTS / "scaling.json")
    asked = parser.parse_args()
    rows = []
    for axis in asked.axes:
        fixed, points = AXES[axis]
        for at in points:
            runs = [measured(axis, at, fixed) for _ in range(asked.repeats)]
            rows.append(row(axis, f"{at}", [run["seconds"] for run in runs], "s", at=at))
            rows.append(row(axis, f"{at}", [run["peak_bytes"] / 1e6 for run in runs], "MB", at=at))
            print(f"{axis} {at:,}: {rows[-2]['value']:.4f} s a round, {rows[-1]['value']:.0f} MB", flush=True)
        for unit in ("s", "MB"):
            mine = [entry for entry in rows if entry["group"] == axis and entry["unit"] == unit]
            slope = exponent(points, [entry["value"] for entry in mine])
            for entry in mine:
                entry["exponent"] = slope
            print(f"{axis}: {unit} grow with exponent {slope:.2f}", flush=True)
    write(
        asked.out,
        "A round's cost as one thing grows. FedAvg over one linear layer, two examples a client and round.",
        shlex.join(["python", "benchmarks/scaling.py", *sys.argv[1:]]),
        rows,
    )


if __name__ == "__main__":
    main()
