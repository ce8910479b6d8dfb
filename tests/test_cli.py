"""The command as a user meets it: what bad input says, what is left behind, what each command prints."""

import json
import os
import subprocess
import sys
import tempfile
from importlib.metadata import version
from pathlib import Path

import click
import numpy as np
import pytest
import torch
from conftest import example_record, install_plugin

from fedbench.cli.main import COMMANDS, cli
from fedbench.data.features import CACHE_VARIABLE, FeatureCache
from fedbench.results.records import Record
from fedbench.results.store import write_record


@pytest.fixture
def refused(fedbench):
    """Bad input: exit code 2, nothing on stdout, one line on stderr (returned), nothing written."""

    def run(*arguments):
        before = sorted(os.walk("."))
        code, out, err = fedbench(*arguments)
        assert (code, out, err.count("\n")) == (2, "", 1), err
        assert err.startswith("fedbench: ") and "Traceback" not in err
        assert sorted(os.walk(".")) == before
        return err.removeprefix("fedbench: ").rstrip()

    return run


BAD_RUNS = {
    "no method": ([], "Missing option '-m' / '--method' — see `fedbench run --help`"),
    "unknown method": (["-m", "fedagv"], "unknown method 'fedagv' — did you mean 'fedavg'?"),
    "unknown provider": (["-m", "nobody/fedavg"], "unknown method 'nobody/fedavg'"),
    "unknown scenario": (
        ["-m", "fedavg", "-s", "emoji-i"],
        "unknown scenario 'emoji-i' — did you mean 'emoji-ii'?",
    ),
    "unknown metric": (
        ["-m", "fedavg", "--set", 'evaluation.metrics=["choise"]'],
        "scenario emoji-ii@2: unknown metric 'choise' — did you mean 'choice'?",
    ),
    "unknown option of the method": (
        ["-m", "fedprox", "-o", "nu=1"],
        "method 'fedprox' has no option 'nu' — its options are: mu",
    ),
    "wrong type": (
        ["-m", "fedprox", "-o", "mu=much"],
        "method 'fedprox': bad value 'much' for option 'mu': Input should be a valid number",
    ),
    "out of range": (
        ["-m", "fedprox", "-o", "mu=-1"],
        "method 'fedprox': bad value -1 for option 'mu': Input should be greater than or equal to 0",
    ),
    "not a number": (["-m", "fedprox", "-o", "mu=nan"], "bad value nan for option 'mu'"),
    "wrong type, several allowed": (
        ["-m", "fed-cmp", "-o", "rank=abc"],
        "method 'fed-cmp': bad value 'abc' for option 'rank': Input should be a valid integer; Input",
    ),
    "options that don't go together": (
        ["-m", "fed-cmp", "-o", "beta_min=0.95"],
        "method 'fed-cmp': beta_min 0.95 is above beta_max 0.9",
    ),
    "-o without =": (["-m", "fedprox", "-o", "mu"], "-o 'mu' is not of the form key=value"),
    "-o without key": (["-m", "fedprox", "-o", "=1"], "-o '=1' is not of the form key=value"),
    "-o for an absent method": (
        ["-m", "fedavg", "-o", "fedprox.mu=1"],
        "option 'fedprox.mu' is for method 'fedprox', which is not among --method",
    ),
    "--set without =": (["-m", "fedavg", "--set", "training.lr"], "--set 'training.lr' is not of the form"),
    "--set of an unknown key": (
        ["-m", "fedavg", "--set", "training.rate=1"],
        "--set training.rate=1: unknown key 'training.rate' — known keys: trainable, lora",
    ),
    "--set out of range": (
        ["-m", "fedavg", "--set", "federation.clients=0"],
        "--set federation.clients=0: bad value for 'federation.clients': Input should be greater",
    ),
    "seeds": (["-m", "fedavg", "--seeds", "one"], "--seeds 'one': seeds are whole numbers: 0 or 0,3 or 0-4"),
    "negative seeds": (["-m", "fedavg", "--seeds=-1"], "--seeds '-1': seeds are whole numbers"),
    "too many seeds": (["-m", "fedavg", "--seeds", "0-99999999999"], "more than 1000 seeds"),
    "no seeds": (["-m", "fedavg", "--seeds", "3-1"], "--seeds '3-1' names no seed"),
    "device": (["-m", "fedavg", "--device", "tpu"], "'--device': 'tpu' is not one of 'auto', 'cpu', 'cuda'"),
    "executor": (
        ["-m", "fedavg", "--executor", "ray"],
        "unknown executor 'ray' — there are: auto, batched, fastest, serial",
    ),
    "unknown switch": (["-m", "fedavg", "--outptu", "x"], "No such option '--outptu'"),
    "stray argument": (["-m", "fedavg", "fedprox"], "unexpected extra argument (fedprox) — see `fedbench"),
}


@pytest.mark.parametrize(("arguments", "said"), BAD_RUNS.values(), ids=BAD_RUNS.keys())
@pytest.mark.parametrize("dry", [["--dry-run"], []], ids=["dry", "run"])
def test_a_bad_run_is_one_line_and_leaves_nothing(refused, arguments, said, dry):
    assert said in refused("run", *arguments, *dry)


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a CUDA device")
def test_cuda_is_refused_where_there_is_none(refused):
    message = refused("run", "-m", "fedavg", "--device", "cuda")
    assert message.startswith("no CUDA device: torch") and "use --device cpu or auto" in message


def test_a_scenario_file_with_an_unknown_metric_is_found_before_the_run(fedbench, tmp_path, monkeypatch):
    """Through the front door: a plugin ships the file; validate and run say the same."""
    folder = tmp_path / "plugins" / "odd_scenario"
    text = "from pathlib import Path\nfrom fedbench import ScenarioSpec, hookimpl\n\n@hookimpl\n"
    text += "def fedbench_register_scenarios():\n    yield ScenarioSpec(Path(__file__).parent / 'odd.toml')\n"
    install_plugin(folder.parent, "odd-scenario", {"hooks.py": text, "odd.toml": ODD})
    monkeypatch.syspath_prepend(str(folder.parent))
    code, out, err = fedbench("validate", folder / "odd.toml", "--format", "json")
    assert (code, err) == (1, "")
    problem = json.loads(out)[0]["problem"]
    assert "unknown metric 'choise' — did you mean 'choice'?" in problem
    code, out, err = fedbench("run", "-m", "fedavg", "-s", "odd")
    assert (code, out, err) == (2, "", f"fedbench: {problem}\n")
    assert not list(Path().iterdir())


ODD = """\
name = "odd"
version = 1
track = "alignment"
summary = "names a metric that isn't there"
backbone = { name = "nano" }
data = { name = "emoji" }
partition = { name = "iid" }
federation = { clients = 2, rounds = 1 }
training = { batch_size = 4, lr = 1e-3 }

[evaluation]
primary = "unseen-concept/category/accuracy"
metrics = ["choise"]
each_round = ["unseen-concept/category"]
final = []
"""


@pytest.mark.parametrize("below", ["", "deeper/still"])
def test_a_file_in_the_place_of_the_output_folder(refused, below, tmp_path):
    (tmp_path / "taken").write_text("a file")
    message = refused("run", "-m", "fedavg", "--output", tmp_path / "taken" / below)
    assert message.startswith(f"can't write the output folder in {tmp_path / 'taken'}: it is not a folder")
    assert "choose another --output" in message


NO_PERMISSION = """
import os, sys
from fedbench.cli.main import main

def run(*more):
    sys.argv[1:] = ["run", "-m", "fedavg", *more]
    try:
        main()
    except SystemExit as exit:
        return exit.code

outputs = sys.argv[1:]
assert run("--output", "/dev/null") == 2  # imports all while the interpreter's own files may be read
if os.getuid() == 0:
    os.setgroups([])
    os.setgid(65534)
    os.setuid(65534)
sys.exit({run("--output", output) for output in outputs} != {2})
"""


def readable_by_all(path):
    return all(folder.stat().st_mode & 0o005 == 0o005 for folder in (path, *path.parents))


@pytest.mark.skipif(
    os.name != "posix" or (os.getuid() == 0 and not readable_by_all(Path(sys.prefix))),
    reason="root may write anywhere, and nobody else may read this environment",
)
def test_an_output_folder_without_permission():
    """In a child that stops being root, if it is."""
    with tempfile.TemporaryDirectory() as outer:
        Path(outer).chmod(0o755)
        folders = {mode: Path(outer) / f"{mode:o}" for mode in (0o555, 0o000)}
        for mode, folder in folders.items():
            folder.mkdir()
            folder.chmod(mode)
        outputs = [folder / "deep" / "er" for folder in folders.values()]
        done = subprocess.run(
            [sys.executable, "-c", NO_PERMISSION, *outputs],
            capture_output=True, text=True, timeout=120, cwd="/",
        )  # fmt: skip
        assert done.returncode == 0
        assert done.stderr.splitlines()[1:] == [
            f"fedbench: can't write the output folder in {folder}: no permission — choose another --output"
            for folder in folders.values()
        ]
        for folder in folders.values():
            folder.chmod(0o755)
            assert not list(folder.iterdir())


def test_the_matrix_of_a_dry_run_and_nothing_written(fedbench):
    arguments = [
        "run",
        "-m",
        "fedavg",
        "-m",
        "fedprox",
        "--seeds",
        "0,3-4",
        "-o",
        "fedprox.mu=0.5",
        "--dry-run",
    ]
    code, out, err = fedbench(*arguments, "--format", "json")
    assert (code, err) == (0, "")
    rows = json.loads(out)
    assert [(row["method"], row["seed"]) for row in rows] == [
        (method, seed) for method in ("fedavg", "fedprox") for seed in (0, 3, 4)
    ]
    assert {row["status"] for row in rows} == {"to run"}
    folders = [row["folder"] for row in rows]
    assert folders[0] == "runs/emoji-ii@2/fedavg/seed-0" and len(set(folders)) == 6
    assert folders[3].startswith("runs/emoji-ii@2/fedprox+"), "options that are not the default are marked"
    code, table, err = fedbench(*arguments)
    assert (code, err) == (0, "") and all(folder in table for folder in folders)
    code, out, _ = fedbench(*arguments, "--set", "training.lr=0.5", "--format", "json")
    assert all(row["folder"].startswith("runs/emoji-ii@2+") for row in json.loads(out))
    assert not list(Path().iterdir())


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("dataset", "emoji"), "texts_per_view"),
        (("partitioner", "dirichlet"), "concentration: small is skewed, large is even"),
        (("backbone", "nano"), "Apache-2.0"),
    ],
)
def test_the_parts_of_a_scenario_say_what_they_take(fedbench, arguments, said):
    code, out, err = fedbench("show", *arguments)
    assert (code, err) == (0, "") and said in out
    assert json.loads(fedbench("show", *arguments, "--format", "json")[1])["name"] == arguments[1]


def test_a_scenario_whose_data_is_not_here_is_shown_without_its_clients(tiny, fedbench):
    code, out, err = fedbench("show", "scenario", "mor-domains")
    assert code == 0 and "policy.kl_weight" in out
    assert err.count("\n") == 1 and "what the clients hold can't be shown: can't get the dataset" in err
    assert fedbench("show", "scenario", "mor-domains", "--picture", "x.svg")[:2] == (2, "")


def test_repeated_names_are_one_run(fedbench):
    twice = ("-m", "fedavg", "-m", "fedavg", "-s", "emoji-ii", "-s", "emoji-ii", "--seeds", "1,0-1")
    code, out, _ = fedbench("run", *twice, "--dry-run", "--format", "json")
    assert code == 0 and [row["seed"] for row in json.loads(out)] == [1, 0]


def test_one_method_under_two_names_is_one_run(fedbench):
    twice = ("-m", "fedavg", "-m", "baselines/fedavg")
    code, out, _ = fedbench("run", *twice, "--dry-run", "--format", "json")
    assert code == 0 and len(json.loads(out)) == 1


def test_methods_of_one_name_from_two_providers_have_two_folders(fedbench, tmp_path, monkeypatch):
    text = "from fedbench import MethodSpec, hookimpl\n\n@hookimpl\ndef fedbench_register_methods():\n"
    text += "    yield MethodSpec('fedavg', 'alignment', 'other_one.hooks:made', 'another one')\n"
    text += "\ndef made(options):\n    from fedbench import Aggregator\n    return Aggregator()\n"
    install_plugin(tmp_path / "plugins", "other-one", {"hooks.py": text})
    monkeypatch.syspath_prepend(str(tmp_path / "plugins"))
    both = ("-m", "baselines/fedavg", "-m", "other-one/fedavg")
    code, out, _ = fedbench("run", *both, "--dry-run", "--format", "json")
    assert code == 0 and len({row["folder"] for row in json.loads(out)}) == 2


UNFIT = {
    "a suite the data hasn't got": (
        'evaluation.final=["nope/x"]',
        "evaluates 'nope/x', which data 'emoji' does not have — there are: unseen-artist/caption",
    ),
    "clients the partition hasn't got": (
        "federation.clients=2",
        "partition 'manifest' does not fit the data: evaluation has 3 clients, the scenario 2",
    ),
}


@pytest.mark.parametrize(("change", "said"), UNFIT.values(), ids=UNFIT.keys())
def test_what_only_the_data_can_tell_leaves_nothing_either(tiny, refused, change, said):
    assert said in refused("run", "-m", "fedavg", "-s", "tiny", "--set", change)


def test_a_method_that_can_not_be_made_is_one_line_and_the_others_run(tiny, fedbench, tmp_path, monkeypatch):
    text = "from fedbench import MethodSpec, hookimpl\n\n@hookimpl\ndef fedbench_register_methods():\n"
    text += "    yield MethodSpec('absent', 'alignment', 'absent_one.hooks:made', 'never made')\n"
    text += "\ndef made(options):\n    raise OSError('no such file')\n"
    install_plugin(tmp_path / "plugins", "absent-one", {"hooks.py": text})
    monkeypatch.syspath_prepend(str(tmp_path / "plugins"))
    code, out, err = fedbench("run", "-m", "absent", "-m", "start", "-s", "tiny", "--format", "json")
    assert code == 1
    assert [row["method"] for row in json.loads(out)] == ["start"]
    (line,) = (line for line in err.splitlines() if "absent" in line)
    assert "plugin absent-one:absent-one 1.0 can't make 'absent'" in line
    assert "OSError: no such file" in line and "FEDBENCH_DEBUG=1" in line


def test_a_profile_is_a_second_table_or_part_of_the_json(tiny, fedbench):
    profiled = ("run", "-m", "start", "-s", "tiny", "--device", "cpu", "--profile")
    code, out, _ = fedbench(*profiled)
    first, second = out.strip().split("\n\n")
    assert code == 0 and "worst client" in first
    heading, _, row = second.splitlines()
    assert heading.split()[:3] == ["record", "preparing", "training"] and row.count("%") == 7
    code, out, _ = fedbench(*profiled, "--again", "--format", "json")
    (row,) = json.loads(out)
    assert code == 0 and row["profile"]["final suites"] > 0
    code, out, _ = fedbench(*profiled, "--format", "json")
    assert json.loads(out)[0]["profile"] is None, "it was there already"


@pytest.fixture
def records(tmp_path):
    """Two methods, two seeds each, on one scenario; one run that was cancelled."""
    folder = tmp_path / "runs"
    for method, values in {"fedavg": (0.50, 0.60), "fed-cmp": (0.70, 0.72)}.items():
        for seed, value in enumerate(values):
            write_record(folder / method / f"seed-{seed}", example_record(method, seed, value))
    write_record(folder / "local" / "seed-0", example_record("local", status="cancelled"))
    return folder


def test_compare_shows_means_and_errors_best_first(fedbench, records):
    code, out, err = fedbench("compare", records, "--format", "json")
    assert (code, err) == (0, "")
    first, second = json.loads(out)
    assert (first["method"], second["method"]) == ("fed-cmp", "fedavg")
    assert second["seeds"] == [0, 1] and second["mean"] == pytest.approx(0.55)
    assert second["se"] == pytest.approx(0.05) and second["start"] == pytest.approx(0.25)
    assert second["worst_client"] == pytest.approx(0.45)
    _, table, _ = fedbench("compare", records)
    assert "0.5500" in table and "0.0500" in table and table.index("fed-cmp") < table.index("fedavg")


def test_compare_refuses_what_it_can_not_compare(refused, tmp_path, records):
    assert refused("compare", tmp_path / "no") == f"no such record or folder: {tmp_path / 'no'}"
    (tmp_path / "empty").mkdir()
    assert refused("compare", tmp_path / "empty").startswith(f"no completed record in {tmp_path / 'empty'}")
    assert "has no metric 'x/y/z' — it has: unseen/category/accuracy" in refused(
        "compare", records, "--metric", "x/y/z"
    )
    (cancelled,) = records.rglob("cancelled-0001.json")
    assert refused("compare", cancelled) == "there is no completed record to compare"
    assert "Missing argument 'WHAT...'" in refused("compare")


CORRUPT = {
    "not JSON": (lambda text: text[: len(text) // 2], "it is not JSON"),
    "a key too few": (lambda text: text.replace('"seed"', '"sead"'), "seed: Field required"),
    "not a number": (lambda text: text.replace("2.0,", "NaN,"), "NaN is not a number"),
    "another version": (
        lambda text: text.replace('"schema_version":2', '"schema_version":99'),
        "schema_version",
    ),
    "empty": (lambda text: "", "it is not JSON"),
    "binary": (lambda text: "\x00\x01", "it is not JSON"),
}


@pytest.fixture(params=CORRUPT.values(), ids=CORRUPT.keys())
def corrupt(request, tmp_path):
    """A damaged record, and what should be said about it."""
    damage, said = request.param
    path = write_record(tmp_path / "runs", example_record())
    path.write_text(damage(path.read_text()))
    return path, said


def test_a_corrupt_record_is_one_line(refused, corrupt):
    path, said = corrupt
    for arguments in (["show", "record", path], ["compare", path], ["compare", path.parent]):
        message = refused(*arguments)
        assert message.startswith(f"not a fedbench record in {path}: ") and said in message


def test_a_corrupt_record_is_invalid(fedbench, corrupt, tmp_path):
    path, said = corrupt
    good = write_record(tmp_path / "good", example_record())
    code, out, err = fedbench("validate", good, path, "--format", "json")
    assert (code, err) == (1, "")
    first, second = json.loads(out)
    assert (first["verdict"], second["verdict"]) == ("valid", "invalid") and said in second["problem"]


def test_a_corrupt_record_in_the_place_of_a_run_is_named(refused, tmp_path):
    path = tmp_path / "runs" / "emoji-ii@2" / "fedavg" / "seed-0" / "record.json"
    path.parent.mkdir(parents=True)
    path.write_text("{")
    assert f"not a fedbench record in {path}" in refused("run", "-m", "fedavg", "--output", tmp_path / "runs")


def test_validate_finds_a_changed_record_and_a_bad_scenario(fedbench, tmp_path):
    path = write_record(tmp_path, example_record())
    code, out, err = fedbench("validate", path)
    assert (code, err) == (0, "") and "valid" in out
    path.write_text(path.read_text().replace('"seed":0', '"seed":1'))
    scenario = tmp_path / "odd.toml"
    scenario.write_text(ODD.replace("version = 1", "versoin = 1"))
    other = tmp_path / "notes.txt"
    code, out, err = fedbench("validate", path, scenario, other, tmp_path / "no.json", "--format", "json")
    assert (code, err) == (1, "")
    problems = [row["problem"] for row in json.loads(out)]
    assert "changed after it was written" in problems[0]
    assert f"unknown key 'versoin' in {scenario}, line 2 — did you mean 'version'?" in problems[1]
    assert "neither a scenario (.toml) nor a record (.json)" in problems[2]
    assert "can't read the record" in problems[3]


def test_validate_needs_something_to_validate(refused):
    assert refused("validate").startswith("nothing to validate — name scenario")


def test_the_schema_is_of_the_record(fedbench):
    code, out, _ = fedbench("validate", "--schema")
    assert code == 0 and json.loads(out) == Record.model_json_schema()


def test_show_says_what_there_is_to_choose(fedbench, records):
    code, out, _ = fedbench("show", "method", "fed-cmp")
    assert code == 0 and "number ≥ 0" in out and "l2 | sq | cos" in out and "annotation" not in out
    shown = json.loads(fedbench("show", "method", "fedprox", "--format", "json")[1])
    assert shown["options"] == [
        {
            "option": "mu",
            "default": 0.01,
            "values": "number ≥ 0",
            "description": "weight μ of the proximal term (μ/2)‖w − x‖²",
        }
    ]
    assert shown["reductions"][0]["equals"] == "fedavg"
    shown = json.loads(fedbench("show", "scenario", "emoji-ii", "--format", "json")[1])
    assert len(shown["fingerprint"]) == 64 and shown["federation"]["clients"] == 5
    (path,) = (records / "fedavg" / "seed-0").glob("record.json")
    code, out, _ = fedbench("show", "record", path)
    assert code == 0 and "0.5000" in out and "111111111111" in out
    assert json.loads(fedbench("show", "record", path, "--format", "json")[1])["seed"] == 0


def test_show_of_nothing(refused, tmp_path):
    assert "unknown method 'fedagv' — did you mean 'fedavg'?" in refused("show", "method", "fedagv")
    assert "unknown scenario 'emoji-i' — did you mean 'emoji-ii'?" in refused("show", "scenario", "emoji-i")
    assert refused("show", "record", tmp_path / "no") == (
        f"no such record: {tmp_path / 'no'} — give the path of a record.json"
    )
    assert "'board' is not one of" in refused("show", "board", "x")


@pytest.mark.parametrize("arguments", [["list"], ["plugins"], ["list", "metrics"], ["env"]], ids=" ".join)
def test_json_is_json_and_the_table_says_the_same(fedbench, arguments):
    code, out, err = fedbench(*arguments, "--format", "json")
    assert (code, err) == (0, "") and json.loads(out)
    code, table, err = fedbench(*arguments)
    assert (code, err) == (0, "")
    rows = json.loads(out)
    for row in rows if isinstance(rows, list) else []:
        assert all(str(value) in table for value in row.values())


def test_env_shows_the_size_of_the_cache(fedbench, tmp_path, monkeypatch):
    monkeypatch.setenv(CACHE_VARIABLE, str(tmp_path / "cache"))
    FeatureCache.default().get("encoder", "images", lambda: np.zeros((1000, 1000), dtype=np.float32))
    found = json.loads(fedbench("env", "--format", "json")[1])
    assert found["feature_cache"]["entries"] == 1 and found["feature_cache"]["megabytes"] == 4.0
    assert found["feature_cache"]["folder"].startswith(str(tmp_path / "cache"))
    assert found["packages"]["torch"] == torch.__version__ and found["devices"][0] == "cpu"
    table = fedbench("env")[1]
    assert "4.0" in table and str(tmp_path / "cache") in table


def test_every_command_has_help_and_run_fifteen_options_at_most(fedbench):
    code, out, err = fedbench("--help")
    assert (code, err) == (0, "") and fedbench("-h")[1] == fedbench()[1] == out
    for name in COMMANDS:
        code, help, err = fedbench(name, "--help")
        assert (code, err) == (0, "") and help.startswith(f"Usage: fedbench {name}")
        assert name in out
    run = cli.get_command(click.Context(cli), "run")
    options = [parameter for parameter in run.params if isinstance(parameter, click.Option)]
    assert len(options) <= 15


def test_unknown_commands_and_switches(refused):
    assert refused("lits") == "unknown command 'lits' — did you mean 'list'?"
    assert refused("frobnicate").startswith(
        "unknown command 'frobnicate' — there are: compare, data, env, export, leaderboard"
    )
    assert refused("--frob") == "No such option '--frob' — see `fedbench --help`"
    assert refused("-p", "emoji", "list") == "-p emoji: only no:NAME is known, which blocks a plugin"
    assert "'methodz' is not one of" in refused("list", "methodz")


def test_the_version_is_the_packages(fedbench):
    assert fedbench("--version")[1] == f"fedbench, version {version('fedbench-suite')}\n"


def test_the_installed_command_and_the_module_are_the_same():
    script = Path(sys.executable).parent / "fedbench"
    outs = [
        subprocess.run([*command, "list"], capture_output=True, text=True, timeout=60)
        for command in ([script], [sys.executable, "-m", "fedbench"])
    ]
    assert outs[0].stdout == outs[1].stdout and [out.returncode for out in outs] == [0, 0]


def test_a_closed_pipe_is_no_traceback():
    command = f"{sys.executable} -m fedbench list | true"
    done = subprocess.run(command, shell=True, capture_output=True, text=True, timeout=60)
    assert "Traceback" not in done.stderr
