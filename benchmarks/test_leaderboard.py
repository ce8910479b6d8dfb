"""Building the boards of up to 10,000 records, loading one of 1,000, running a record again.

The bars are a minute, a second and a minute; nothing asserts them.

``pytest benchmarks/test_leaderboard.py --benchmark-only -s``; ``FEDBENCH_RECORDS=10,100`` for other numbers.
"""

import json
import os
import random
import resource
import subprocess
import sys
from pathlib import Path
from shutil import which

import pytest
from playwright.sync_api import sync_playwright

from fedbench.results.layout import run_id
from fedbench.results.parsing import content_id

RECORDS = Path(__file__).parent.parent / "leaderboards" / "records"
SCENARIOS = ("emoji-ii@2", "emoji-tt@1", "emoji-cross@1", "emoji-joint@1", "easyvqa-tasks@1")
ANCHORS = ("start", "local", "centralized", "fedavg")
SEEDS = range(5)
COUNTS = [int(count) for count in os.environ.get("FEDBENCH_RECORDS", "10,100,1000,10000").split(",")]


def sources(scenario):
    """Real records of a scenario, by method and seed."""
    folders = (RECORDS / scenario).iterdir()
    return {
        folder.name: [json.loads(path.read_text()) for path in sorted(folder.rglob("record.json"))]
        for folder in sorted(folders)
        if "+" not in folder.name
    }


def written(folder, record, method, plugin, distribution, seed):
    """A copy of a real record as if ``method`` had made it with ``seed``: it is consistent."""
    record = json.loads(json.dumps(record))
    options = record["method"]["options"] if plugin == record["method"]["provider"]["plugin"] else {}
    provider = {"distribution": distribution, "version": "1.0", "plugin": plugin}
    if plugin == record["method"]["provider"]["plugin"]:
        provider = record["method"]["provider"]
    record["method"] = {"name": method, "options": options, "provider": provider}
    record["seed"] = seed
    record["run_id"] = run_id(record["scenario"]["fingerprint"], method, plugin, options, seed)
    record["record_id"] = content_id(record)
    scenario = f"{record['scenario']['name']}@{record['scenario']['version']}"
    path = folder / scenario / method / f"seed-{seed}" / "record.json"
    path.parent.mkdir(parents=True)
    path.write_text(json.dumps(record, indent=1) + "\n")


def made_up(folder, most):
    """Anchors, and as many made-up methods as give ``most`` records or a few more."""
    draw, count = random.Random(0), 0
    known = {scenario: sources(scenario) for scenario in SCENARIOS}
    for found in known.values():
        for method in ANCHORS:
            for seed in SEEDS if count < most else ():
                written(folder, found[method][seed % 3], method, "baselines", "fedbench-suite", seed)
                count += 1
    number = 0
    while count < most:
        number += 1
        for found in known.values():
            copied = draw.choice([m for m in found if m not in ("start", "local", "centralized")])
            for seed in SEEDS:
                method = f"made-up-{number:04}"
                written(folder, found[copied][seed % 3], method, method, method, seed)
                count += 1
    return folder


def command(*arguments):
    return [sys.executable, "-m", "fedbench", "leaderboard", *map(str, arguments)]


def measured(benchmark, function):
    """Run it once: seconds on the clock and of the processor, and the most memory of any child so far."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    benchmark.pedantic(function, rounds=1)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    worked = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    clock = benchmark.stats.stats.max
    return f"{clock:.1f} s, {worked:.1f} s of the processor, {after.ru_maxrss / 1024:.0f} MB at most"


def built(records, cache):
    """Build the boards in a process of its own: its seconds of the processor and most memory (MB)."""
    environment = {**os.environ, "FEDBENCH_CACHE": str(cache)}
    process = subprocess.Popen(
        command("build", "--records", records), stdout=subprocess.DEVNULL, env=environment
    )
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    assert process.returncode == 0
    return f"{usage.ru_utime + usage.ru_stime:.1f} s of the processor, {usage.ru_maxrss / 1024:.0f} MB"


@pytest.mark.parametrize("count", COUNTS)
def test_build(benchmark, tmp_path, count):
    """With an empty cache; again; after one record is gone."""
    records, cache, said = made_up(tmp_path / "records", count), tmp_path / "cache", []
    said.append(built(records, cache))
    benchmark.pedantic(lambda: said.append(built(records, cache)), rounds=1)
    files = sorted(records.rglob("record.json"))
    files[-1].unlink()
    said.append(built(records, cache))
    print(f"\nbuild of {len(files)} records: {said[0]}; again {said[1]}; with one less {said[2]}")


@pytest.mark.skipif(not which("chromium"), reason="there is no Chromium")
def test_load(benchmark, tmp_path):
    """A board's page in Chromium, from its file, until everything on it is there."""
    records = made_up(tmp_path / "records", 1000)
    subprocess.run(command("build", "alignment-nano", "--records", records), capture_output=True, check=True)
    address = (tmp_path / "site" / "boards" / "alignment-nano" / "index.html").as_uri()
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=which("chromium"), args=["--no-sandbox"])
        page = browser.new_page()
        benchmark.pedantic(lambda: page.goto(address, wait_until="load"), rounds=10, warmup_rounds=1)
        rows = page.locator("#overall tbody tr").count()
        browser.close()
    print(f"\na board of 1,000 records, {rows} entries: {1000 * benchmark.stats.stats.median:.0f} ms to load")


@pytest.mark.parametrize("method", ["fedavg", "fed-cmp", "local"])
def test_replay(benchmark, method):
    run = RECORDS / "emoji-ii@2" / method / "seed-0"

    def replay():
        done = subprocess.run(
            command("verify", run, "--level", "replayed", "--format", "json"),
            capture_output=True, text=True, check=True,
        )  # fmt: skip
        assert json.loads(done.stdout)[0]["level"] == "replayed"

    print(f"\nreplay of {method} on emoji-ii: {measured(benchmark, replay)}")
