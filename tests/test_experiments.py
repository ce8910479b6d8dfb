"""The suite from Python: one call runs, takes up, loads and compares; errors are the command's."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from conftest import example_record

import fedbench
from fedbench.experiments import plan_matrix
from fedbench.jobs import Job
from fedbench.results.store import write_record
from fedbench.scenario_files import load_scenario


@pytest.fixture
def here(tiny, tmp_path, monkeypatch):
    """An empty folder to work in."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_one_call_runs_and_the_next_loads(here, capsys):
    record = fedbench.run("start", "tiny", seed=1, device="cpu")
    assert (record.status, record.method.name, record.seed) == ("completed", "start", 1)
    out, err = capsys.readouterr()
    assert out == "" and "round 2/2" in err and "record.json" in err
    path = Path("runs/tiny@1/start/seed-1/record.json")
    before = path.read_bytes()
    again = fedbench.run("start", "tiny", seed=1, device="cpu", progress=False)
    assert again == record == fedbench.load(path) == fedbench.load(path.parent)
    assert path.read_bytes() == before and capsys.readouterr() == ("", "")


def test_options_changes_and_scenarios_of_ones_own_are_in_the_record(here, tiny):
    options, changes = {"mu": 0.5}, {"federation.rounds": 1}
    record = fedbench.run("fedprox", "tiny", changes=changes, progress=False, device="cpu", **options)
    assert record.method.options == options and record.scenario.changes == changes
    assert len(record.rounds) == 2
    asked = "fedbench run -m baselines/fedprox -s tiny-scenario/tiny --seeds 0 -o mu=0.5"
    place = f"--set federation.rounds=1 --device cpu --executor batched:3 --threads {torch.get_num_threads()}"
    assert " ".join(record.command) == f"{asked} {place}"


def folder_of(scenario, **more):
    (job,) = plan_matrix(methods="fedavg", scenarios=scenario, **more)
    return job.run_id, job.folder, dict(job.scenario.changes), job.scenario_entry.plugin.name


def test_a_scenario_object_is_the_scenario_that_it_was_read_from(tiny):
    """By name, by path or as an object, with the same changes: the same run from the same provider."""
    path, changes = tiny / "tiny.toml", {"training.lr": 0.5}
    by_name = folder_of("tiny")
    assert folder_of(load_scenario(path)) == by_name
    assert folder_of(path)[:3] == folder_of(str(path))[:3] == by_name[:3]
    changed = folder_of("tiny", changes=changes)
    assert (
        folder_of(load_scenario(path, changes)) == folder_of(load_scenario(path), changes=changes) == changed
    )
    assert changed[0] != by_name[0] and changed[3] == by_name[3] == "tiny-scenario"


def test_a_scenario_that_nobody_provides_says_so(tiny):
    scenario = load_scenario(tiny / "tiny.toml")
    assert scenario.fingerprint
    other = scenario.model_copy(update={"version": 9})
    run_id, folder, changes, provider = folder_of(other)
    assert run_id != folder_of(scenario)[0] and folder == Path("runs/tiny@9/fedavg/seed-0")
    assert (changes, provider) == ({}, "file")


def test_a_matrix_keeps_its_order_and_tells_what_failed(here, monkeypatch, capsys):
    made = []

    def broken(self, options):
        made.append(options)
        raise RuntimeError("out of luck")

    monkeypatch.setattr("fedbench_baselines.fedprox.FedProx.__init__", broken)
    result = fedbench.run_matrix(
        methods=["start", "fedprox"], scenarios=["tiny"], seeds=range(2), device="cpu", progress=False
    )
    assert [(record.method.name, record.seed) for record in result] == [("start", 0), ("start", 1)]
    assert len(result) == 2 and result[-1].seed == 1 and [r.seed for r in result[:1]] == [0]
    assert [fedbench.load(path) for path in result.paths] == list(result)
    assert len(result.failures) == 2 and "out of luck" in str(result.failures[0])
    assert "2 records, 2 failed" in repr(result)
    assert fedbench.load_all("runs") == sorted(result, key=lambda record: record.seed)
    again = fedbench.run_matrix(methods="start", scenarios="tiny", seeds=np.arange(2), device="cpu")
    assert list(again) == list(result) and "2 of 2 runs were done already" in capsys.readouterr().err


BAD = {
    "method": (("fedagv", "tiny"), {}, "unknown method 'fedagv' — did you mean 'fedavg'?"),
    "scenario": (("fedavg", "tinny"), {}, "unknown scenario 'tinny' — did you mean 'tiny'?"),
    "option": (("fedprox", "tiny"), {"nu": 1}, "method 'fedprox' has no option 'nu' — its options are: mu"),
    "value": (("fedprox", "tiny"), {"mu": -1}, "method 'fedprox': bad value -1 for option 'mu'"),
    "seed": (("fedavg", "tiny"), {"seed": -1}, "seed -1: seeds are whole numbers from 0"),
    "seed's type": (("fedavg", "tiny"), {"seed": 0.5}, "seed 0.5: seeds are whole numbers from 0"),
    "device": (("fedavg", "tiny"), {"device": "tpu"}, "unknown device 'tpu' — did you mean 'cpu'?"),
    "executor": (("fedavg", "tiny"), {"executor": "ray"}, "unknown executor 'ray' — there are"),
    "change": (("fedavg", "tiny"), {"changes": {"training.rate": 1}}, "unknown key 'training.rate'"),
}


@pytest.mark.parametrize(("names", "more", "said"), BAD.values(), ids=BAD.keys())
def test_a_bad_call_says_what_the_command_says_and_leaves_nothing(here, names, more, said):
    with pytest.raises(fedbench.UsageError) as error:
        fedbench.run(*names, **more)
    assert said in str(error.value) and "\n" not in str(error.value)
    assert not list(here.iterdir())


def test_a_folder_of_several_records_is_not_one(tmp_path):
    for seed in range(2):
        write_record(tmp_path / str(seed), example_record(seed=seed))
    with pytest.raises(fedbench.UsageError, match=r"2 records in .* load_all reads all of them"):
        fedbench.load(tmp_path)
    assert [record.seed for record in fedbench.load_all(tmp_path / "1", tmp_path / "0")] == [1, 0]
    with pytest.raises(fedbench.UsageError, match="can't read"):
        fedbench.load(tmp_path / "no.json")


def test_reading_and_checking_records_takes_no_torch(tmp_path):
    path = write_record(tmp_path, example_record())
    code = f"import sys, fedbench; fedbench.load({str(path)!r}); fedbench.validate({str(path)!r})"
    code += "; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], timeout=60).returncode == 0


def test_a_planned_run_is_a_job(tiny):
    jobs = plan_matrix(methods=["fedavg", "fedprox"], scenarios="tiny", seeds=[0, 2])
    assert all(isinstance(job, Job) and job.status == "to run" for job in jobs) and len(jobs) == 4
