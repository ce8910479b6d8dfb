"""Rounds a second of fedbench, Flower, pfl-research and a bare loop on one workload: ``make bench-peers``.

Every side runs in an environment of its own, over the same tensors, cohorts, first parameters and batches.
The sides take turns; a round's time is that of all rounds but the first, which warms up. A side's time counts
only if in float64 its parameters are those of the bare loop within 1e-6.
"""

import argparse
import json
import os
import shlex
import statistics
import subprocess
import sys
import tempfile
import threading
import time
import venv
from pathlib import Path

import numpy as np
import psutil
import torch
from ours import setup_of
from result_file import RESULTS, row, write
from workload import Workload, network

from fedbench.federation.loop import call
from fedbench.rng import numpy_stream, torch_stream

HERE = Path(__file__).parent
SEED, TOLERANCE = 0, 1e-6
PROJECT = Path(sys.executable)

SIDES = {
    "bare loop, one process": ("bare.py", PROJECT, 1, ""),
    "bare loop, two processes": ("bare.py", PROJECT, 2, ""),
    "fedbench, serial": ("ours.py", PROJECT, 1, "serial"),
    "fedbench, two workers": ("ours.py", PROJECT, 2, "workers:2"),
    "pfl-research, one process": ("pfl_side.py", "pfl", 1, ""),
    "pfl-research, two processes": ("pfl_side.py", "pfl", 2, ""),
    "Flower, two processes": ("flower.py", "flower", 2, ""),
}
"""By name: the script, its environment, its processes, and what is asked of it."""


def make_workload(folder, *, clients, samples, cohort, rounds, batch_size, pool):
    """1,000 clients with an epoch of their own samples each time; samples come from a pool of noise."""
    generator = torch_stream(SEED, "peers")
    np.save(folder / "inputs.npy", torch.randn(pool, 3, 32, 32, generator=generator).numpy())
    np.save(folder / "targets.npy", torch.randint(10, (pool,), generator=generator).numpy())
    model = network()
    parts = [torch.rand(p.shape, generator=generator) * 0.2 - 0.1 for p in model.parameters()]
    np.save(folder / "start.npy", torch.cat([part.flatten() for part in parts]).numpy())
    plan = {
        "clients": clients, "cohort": cohort, "batch_size": batch_size, "lr": 0.05, "seed": SEED,
        "all_rounds": rounds, "rounds": [],
    }  # fmt: skip
    (folder / "plan.json").write_text(json.dumps(plan))
    drawn = numpy_stream(SEED, "peers").integers(pool, size=(clients, samples))
    setup = setup_of(Workload(folder, torch.float32), list(drawn))
    turns = dict.fromkeys(range(clients), 0)
    cohorts = [
        call(setup, setup.initial(torch.zeros(setup.task.space.size)), n).cohort for n in range(1, rounds + 1)
    ]
    for cohort_ in cohorts:
        for client in cohort_:
            turns[client] += 1
    # a client goes through each example once in a run: as many copies of its own as it has turns
    shards = [np.tile(drawn[client], max(1, turns[client])) for client in range(clients)]
    np.savez(folder / "shards.npz", **{str(client): shard for client, shard in enumerate(shards)})
    setup = setup_of(Workload(folder, torch.float32), shards)
    state = setup.initial(torch.zeros(setup.task.space.size))
    for number in range(1, rounds + 1):
        work = call(setup, state, number).work
        plan["rounds"].append([[item.client, item.examples.tolist()] for item in work])
    (folder / "plan.json").write_text(json.dumps(plan))


def environment(name, root):
    """The Python of a peer's environment, made from its pinned requirements if it is not there."""
    python = root / name / "bin" / "python"
    if not (root / name / ".ready").exists():
        venv.create(root / name, with_pip=True)
        wanted = HERE / f"requirements-{name}.txt"
        subprocess.run([python, "-m", "pip", "install", "--quiet", "-r", wanted], check=True)
        (root / name / ".ready").touch()
    return python


def measured(side, python, folder, out, dtype, rounds):
    """Run a side in a process of its own: what it reports, its parameters and its peak memory (PSS)."""
    script, _, processes, how = SIDES[side]
    command = [str(python)]
    if script == "pfl_side.py" and processes > 1:
        command += ["-m", "torch.distributed.run", "--standalone", f"--nproc-per-node={processes}"]
    command += [str(HERE / script), str(folder), "--dtype", dtype, "--rounds", str(rounds)]
    command += ["--processes", str(processes), "--how", how, "--out", str(out)]
    # every process of a side computes on one thread; FLWR_: nothing is sent anywhere
    more = {"OMP_NUM_THREADS": "1", "FLWR_TELEMETRY_ENABLED": "0", "RAY_USAGE_STATS_ENABLED": "0"}
    process = subprocess.Popen(
        command, env=os.environ | more, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True
    )
    peak = [0]
    watcher = threading.Thread(target=watch, args=(process.pid, peak), daemon=True)
    watcher.start()
    _, said = process.communicate()
    if process.returncode:
        raise SystemExit(f"{side} failed:\n{said[-3000:]}")
    return json.loads(out.read_text()), np.load(out.with_suffix(".npy")), peak[0]


def watch(pid, peak):
    """Keep the most memory that the process tree has held; shared pages count once."""
    while psutil.pid_exists(pid):
        total = 0
        try:
            for process in [psutil.Process(pid), *psutil.Process(pid).children(recursive=True)]:
                total += process.memory_full_info().pss
        except psutil.Error:
            pass
        peak[0] = max(peak[0], total)
        time.sleep(0.25)


def main():
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--environments", type=Path, default=HERE.parents[1] / ".peers")
    parser.add_argument("--out", type=Path, default=RESULTS / "peers-cnn.json")
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--rounds", type=int, default=6)
    parser.add_argument("--clients", type=int, default=1000)
    parser.add_argument("--cohort", type=int, default=50)
    parser.add_argument("--sides", nargs="*", default=list(SIDES))
    options = parser.parse_args()
    results = {side: {"rounds": [], "peak_bytes": 0} for side in options.sides}
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        make_workload(
            folder, clients=options.clients, samples=50, cohort=options.cohort, rounds=options.rounds,
            batch_size=10, pool=5000,
        )  # fmt: skip
        pythons = {
            side: python
            if isinstance(python := SIDES[side][1], Path)
            else environment(python, options.environments)
            for side in options.sides
        }
        _, truth, _ = measured("bare loop, one process", PROJECT, folder, folder / "truth.json", "float64", 2)
        for side in options.sides:
            _, params, _ = measured(side, pythons[side], folder, folder / "check.json", "float64", 2)
            results[side]["float64_difference"] = float(np.abs(params - truth).max())
            print(
                f"{side}: {results[side]['float64_difference']:.1e} from the bare loop in float64", flush=True
            )
        for repeat in range(options.repeats):
            for side in options.sides:
                said, _, peak = measured(
                    side, pythons[side], folder, folder / "out.json", "float32", options.rounds
                )
                results[side]["rounds"].append(1 / statistics.mean(said["seconds"][1:]))
                results[side]["peak_bytes"] = max(results[side]["peak_bytes"], peak)
                print(
                    f"{repeat + 1}/{options.repeats} {side}: {results[side]['rounds'][-1]:.2f} rounds/s",
                    flush=True,
                )
    rows = [
        row(
            "rounds",
            side,
            result["rounds"],
            "rounds/s",
            peak_MB=round(result["peak_bytes"] / 1e6),
            counts="yes" if result["float64_difference"] <= TOLERANCE else "no",
        )
        for side, result in results.items()
    ]
    what = (
        "Many clients of a small model. A convolutional network of 62,006 parameters, "
        f"{options.clients:,} clients, cohorts of {options.cohort}, 50 samples each in batches of ten, SGD. "
        "Every process computes on one thread. "
        "A side counts if its parameters in float64 are the bare loop's within 1e-6."
    )
    repeats = f"--repeats {options.repeats} --rounds {options.rounds}"
    sides = "" if options.sides == list(SIDES) else f" --sides {shlex.join(options.sides)}"
    command = f"PYTHONPATH=benchmarks python benchmarks/peers/compare.py {repeats}{sides}"
    write(options.out, what, command, rows)


if __name__ == "__main__":
    main()
