"""Shared fixtures: a scenario small enough to run end to end in a test, from a plugin in another folder."""

import json
import os
import subprocess
import sys
from hashlib import sha256
from importlib import invalidate_caches
from pathlib import Path

import pytest
from browser import chromium, visit  # noqa: F401  (fixtures)

# Two cores, many small products: threads cost more than they give, and one makes timings steady.
os.environ.setdefault("OMP_NUM_THREADS", "1")


def mostly_slow(values, *quick):
    """Parameters for ``parametrize`` of which all but ``quick`` are marked slow."""
    return [value if value in quick else pytest.param(value, marks=pytest.mark.slow) for value in values]


TINY = """\
name = "tiny"
version = 1
track = "alignment"
summary = "3 clients, 2 rounds, for tests"

[backbone]
name = "nano"

[data]
name = "emoji"

[data.options]
views = 1
texts_per_view = 2
items = 24
kind_items = 8

[partition]
name = "manifest"

[partition.options]
file = "tiny.json"
sha256 = "{sha256}"

[federation]
clients = 3
rounds = 2

[training]
batch_size = 4
lr = 1e-3
hidden = 32

[evaluation]
primary = "unseen-concept/category/accuracy"
metrics = ["caption", "choice", "yesno", "exact-match"]
each_round = ["unseen-concept/category"]
final = [
    "unseen-concept/category", "unseen-concept/caption", "unseen-concept/name", "unseen-concept/kind",
    "unseen-concept/yesno", "unseen-concept/generate",
]
controls = ["shuffled"]
"""

HOOKS = """\
from pathlib import Path
from fedbench import ScenarioSpec, hookimpl

@hookimpl
def fedbench_register_scenarios():
    yield ScenarioSpec(Path(__file__).parent / "tiny.toml")
"""


def install_plugin(folder: Path, name: str, files: dict[str, str], version: str = "1.0") -> None:
    """Lay out a package ``name`` with ``files`` and an entry point to its ``hooks``, as pip does."""
    package = folder / name.replace("-", "_")
    package.mkdir(parents=True)
    for file, content in {"__init__.py": "", **files}.items():
        (package / file).write_text(content, encoding="utf-8")
    metadata = folder / f"{package.name}-{version}.dist-info"
    metadata.mkdir()
    (metadata / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n")
    (metadata / "entry_points.txt").write_text(f"[fedbench]\n{name} = {package.name}.hooks\n")


@pytest.fixture(scope="session")
def session_cache(request):
    """The folder of the tests' cache. It outlives the session: what is in it goes by its content."""
    return request.config.cache.mkdir("fedbench")


@pytest.fixture(scope="session", autouse=True)
def _caches_of_the_tests(session_cache):
    """No test writes to the caches of the user who runs it."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("FEDBENCH_CACHE", str(session_cache))
        yield


@pytest.fixture(scope="session")
def tiny(tmp_path_factory):
    """Install scenario ``tiny`` for this process and its children; the folder it lies in."""
    folder = tmp_path_factory.mktemp("tiny-plugin")
    from fedbench_emoji.dataset import TRAIN_ARTISTS, read_drawings

    rows: dict[tuple[str, str], list[int]] = {}
    for d in read_drawings()[0]:
        rows.setdefault((d.split, d.artist), []).append(d.row)
    train = [row for artist in TRAIN_ARTISTS for row in rows["train", artist]]
    held_out = [row for artist in TRAIN_ARTISTS for row in rows["unseen", artist]]
    manifest = json.dumps(
        {
            "train": [train[7 * k :: 97][: 6 + 2 * k] for k in range(3)],
            "evaluation": [held_out[k::3] for k in range(3)],
        }
    )
    hashed = sha256(manifest.encode()).hexdigest()
    files = {"hooks.py": HOOKS, "tiny.toml": TINY.format(sha256=hashed), "tiny.json": manifest}
    install_plugin(folder, "tiny-scenario", files)
    patch = pytest.MonkeyPatch()
    patch.syspath_prepend(str(folder))
    patch.setenv("PYTHONPATH", str(folder))
    patch.setenv("HF_HUB_OFFLINE", "1")
    invalidate_caches()
    yield folder / "tiny_scenario"
    patch.undo()


@pytest.fixture(scope="session")
def toy_preferences(tiny):
    """Install scenario ``toy-preferences`` beside ``tiny``; the folder it lies in."""
    source = Path(__file__).parent / "toy_preferences"
    files = {path.name: path.read_text() for path in source.iterdir() if path.is_file()}
    install_plugin(tiny.parent, "toy-preferences", files)
    invalidate_caches()
    return tiny.parent / "toy_preferences"


@pytest.fixture
def fedbench(tmp_path, monkeypatch, capsys):
    """Run the command in this process from an empty folder: ``code, out, err = fedbench("run", …)``."""
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")

    from fedbench.cli.main import main

    def run(*arguments):
        monkeypatch.setattr(sys, "argv", ["fedbench", *map(str, arguments)])
        with pytest.raises(SystemExit) as exit:
            main()
        printed = capsys.readouterr()
        return exit.value.code, printed.out, printed.err

    return run


def git(folder, *arguments):
    """Run git in ``folder`` as a made-up author; its standard output."""
    identity = ["-c", "user.name=t", "-c", "user.email=t@example.org", "-c", "commit.gpgsign=false"]
    command = ["git", "-C", folder, *identity, *arguments]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout


def example_record(method="fedavg", seed=0, value=0.5, status="completed", **changes):
    """Make a sealed record as a run would write it, without running anything."""
    from fedbench.api.metrics import Costs, Measure
    from fedbench.results.records import Record

    def measured(value):
        return {"unseen/category/accuracy": Measure(value, 0.01, 100, "share")}

    provider = {"distribution": "fedbench-suite", "version": "0.1.0", "plugin": "baselines"}
    fields = {
        "run_id": f"{method}-{seed}",
        "status": status,
        "scenario": {
            "name": "made-up", "version": 1, "track": "alignment", "fingerprint": "f" * 64, "changes": {},
            "provider": provider,
        },
        "method": {"name": method, "options": {}, "provider": provider},
        "seed": seed,
        "primary": "unseen/category/accuracy",
        "data": {
            "name": "d", "fingerprint": "d", "backbone": "b", "backbone_fingerprint": "b",
            "partition": "p", "partition_fingerprint": "p", "client_examples": [2, 3], "parameters": 7,
        },
        "rounds": [
            {"round": 0, "digest": "0" * 64, "metrics": measured(0.25)},
            {"round": 1, "digest": "1" * 64, "metrics": measured(value), "loss": 1.5},
        ],
        "final": measured(value),
        "spread": {"mean": value, "worst": value - 0.1, "p10": value - 0.1},
        "costs": Costs(uplink_bytes=2_000_000, client_examples=5),
        "peak_memory_bytes": 1,
        "wall_seconds": 2.0,
        "started": "2026-01-01T00:00:00+00:00",
        "finished": "2026-01-01T00:00:02+00:00",
        "environment": {},
        "command": ["fedbench", "run"],
    } | changes  # fmt: skip
    return Record.model_validate(fields).sealed()


@pytest.fixture(scope="module")
def catalog():
    """Everything that is installed."""
    from fedbench.catalog import Catalog
    from fedbench.plugins import Plugins

    return Catalog(Plugins(strict=True))


@pytest.fixture
def verdict_of(catalog, tmp_path):
    """Verify one record: ``level, problem = verdict_of(record)``."""
    from records_of_ours import PLACE, put

    from fedbench.verification.ladder import verify

    def verdict_of(record, place=PLACE):
        (verdict,) = verify([put(tmp_path, record, place)], catalog)
        return verdict.level.name, verdict.problem

    return verdict_of
