"""A run is the same run only if its code and content are the same; what differs is named and run again."""

import json
import os
import subprocess
import sys
from dataclasses import replace
from io import BytesIO
from pathlib import Path

import numpy as np
import pytest
import torch
from conftest import example_record, install_plugin
from PIL import Image

from fedbench.catalog import Catalog
from fedbench.data.content import data_sha256, images_sha256
from fedbench.data.features import FeatureCache
from fedbench.data.images import StoredImages
from fedbench.data.items import AlignmentData, Pair
from fedbench.environment import device_class
from fedbench.jobs import plan_jobs
from fedbench.models.backbone import Backbone
from fedbench.models.content import backbone_sha256
from fedbench.numerics import NUMERICS
from fedbench.observers import Silent
from fedbench.plugins import Plugin, Plugins
from fedbench.results.identity import Identity, PackageCode, changed_code, changed_content
from fedbench.results.store import read_record, write_record
from fedbench.runner import Runner
from fedbench.runs.loading import encoded
from fedbench.source_code import source_code

HOOKS = """\
from fedbench import MethodSpec, hookimpl

@hookimpl
def fedbench_register_methods():
    yield MethodSpec(name="scaled", track="alignment", factory="own_work.method:Scaled", summary="a mean")
"""
METHOD = """\
from fedbench import Aggregator

class Scaled(Aggregator):
    def __init__(self, options):
        self.options = options

    def aggregate(self, state, cohort):
        {stop}return {{"params": {scale} * (cohort.weights @ cohort.params)}}
"""
SMALL = {
    "evaluation.each_round": ["unseen-concept/category"],
    "evaluation.final": ["unseen-concept/category"],
    "evaluation.controls": [],
    "data.options.items": 8,
    "data.options.texts_per_view": 1,
    "training.hidden": 8,
}


@pytest.fixture
def own_work(tmp_path, tiny):
    """A method in a package of its own, and the command that runs it in a process of its own."""
    install_plugin(tmp_path / "site", "own-work", {"hooks.py": HOOKS})
    file = tmp_path / "site" / "own_work" / "method.py"

    def write(scale=1.0, stop=""):
        file.write_text(METHOD.format(scale=scale, stop=stop))

    def run(*more):
        sets = [part for key, value in SMALL.items() for part in ("--set", f"{key}={json.dumps(value)}")]
        command = [sys.executable, "-m", "fedbench", "run", "-s", "tiny", "-m", "scaled", *sets, *more]
        path = os.pathsep.join([str(tmp_path / "site"), os.environ["PYTHONPATH"]])
        environment = os.environ | {"PYTHONPATH": path, "PYTHONDONTWRITEBYTECODE": "1"}
        return subprocess.run(command, env=environment, cwd=tmp_path, capture_output=True, text=True)

    write()
    run.write, run.root = write, tmp_path
    return run


def folder_of(run):
    (folder,) = run.root.glob("runs/*/*/seed-0")
    return folder


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_an_edited_method_is_run_again_beside_its_old_record(own_work):
    assert own_work().returncode == 0
    first = read_record(folder_of(own_work) / "record.json")
    own_work.write(scale=0.5)
    planned = own_work("--dry-run", "--format", "json")
    assert json.loads(planned.stdout)[0]["status"] == "changed"
    done = own_work()
    assert done.returncode == 0 and "other code of own_work 1.0" in done.stderr, done.stderr
    second, kept = (read_record(folder_of(own_work) / f"{n}.json") for n in ("record", "replaced-0001"))
    assert kept == first and second.rounds[-1].digest != first.rounds[-1].digest


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_a_run_that_was_stopped_does_not_go_on_with_other_code(own_work):
    own_work.write(stop="if cohort.round == 2: raise KeyboardInterrupt\n        ")
    assert own_work().returncode == 130 and (folder_of(own_work) / "checkpoints").exists()
    own_work.write(scale=0.5)
    done = own_work()
    assert done.returncode == 0 and "other code of own_work" in done.stderr and "starting over" in done.stderr
    assert "taking up" not in done.stderr
    record = read_record(folder_of(own_work) / "record.json")
    assert not record.resumed and [entry.round for entry in record.rounds] == [0, 1, 2]


class Listening(Silent):
    def __init__(self):
        self.lines = []

    def say(self, line):
        self.lines.append(line)


@pytest.fixture(scope="module")
def runner(tiny):
    """A runner in this process, whose bench its tests share."""
    return Runner(Catalog(Plugins(strict=True)), torch.device("cpu"), "serial", Listening())


@pytest.fixture
def start(runner, tmp_path):
    """A job that trains nothing."""
    runner.observer.lines.clear()
    request = {"methods": ["start"], "scenarios": ["tiny"], "seeds": [0], "options": {}, "changes": SMALL}
    (job,) = plan_jobs(runner.catalog, output=tmp_path, **request)
    return job


def test_a_record_says_what_its_numbers_come_from(runner, start):
    identity = read_record(runner.run(start)).identity
    assert set(identity.code) == {"fedbench", "fedbench_baselines", "fedbench_emoji", "tiny_scenario"}
    content = runner.inputs(start.resolved).content
    assert (identity.data_sha256, identity.backbone_sha256) == (content.data, content.backbone)
    assert identity.partition_sha256 == content.partition
    assert identity.device_class == device_class(torch.device("cpu"))
    assert (identity.dtype, identity.executor, identity.chunk) == ("float32", "serial", 1)
    assert (identity.threads, identity.numerics) == (torch.get_num_threads(), NUMERICS)


def test_a_record_is_used_while_code_and_content_are_the_same(runner, start, monkeypatch):
    first = read_record(runner.run(start))
    runner.observer.lines.clear()
    assert read_record(runner.run(start)) == first and not runner.observer.lines
    content = runner.inputs(start.resolved).content
    captions_corrected = replace(runner.inputs(start.resolved), content=replace(content, data="e" * 64))
    monkeypatch.setitem(runner._inputs, start.resolved.key, captions_corrected)
    assert start.status == "done", "only a run looks at content"
    runner.run(start)
    assert (
        f"was made with other content of its data ({content.data[:8]}, now eeeeeeee)"
        in runner.observer.lines[0]
    )
    assert read_record(start.folder / "replaced-0001.json") == first
    monkeypatch.setattr("fedbench.source_code._sha256", lambda package: package.ljust(64, "0")[:64])
    assert start.status == "changed"
    runner.run(start)
    assert "was made with other code of fedbench" in runner.observer.lines[-1]
    assert len(list(start.folder.glob("replaced-*.json"))) == 2


def test_again_runs_what_is_done(runner, start, monkeypatch):
    first = read_record(runner.run(start))
    monkeypatch.setattr(runner, "again", True)
    second = read_record(runner.run(start))
    assert second.without_times() == first.without_times()
    assert read_record(start.folder / "replaced-0001.json") == first


def test_a_record_without_an_identity_is_used_and_said_to_have_none(runner, start):
    record = read_record(runner.run(start))
    start.record.unlink()
    write_record(start.folder, record.model_copy(update={"identity": None}).sealed())
    assert read_record(runner.run(start)).identity is None
    assert "doesn't say what code and data" in runner.observer.lines[0]


def test_what_changed_is_named():
    def of(**code):
        return Identity(code={name: PackageCode(version=v, sha256=s) for name, (v, s) in code.items()})

    old = of(fedbench=("1", "a" * 64), mine=("1", "b" * 64))
    assert not changed_code(old, old) and not changed_code(None, old) and not changed_code(Identity(), old)
    edited = of(fedbench=("1", "a" * 64), mine=("1", "c" * 64))
    assert changed_code(old, edited) == "with other code of mine 1 (bbbbbbbb, now cccccccc)"
    newer = of(fedbench=("1", "a" * 64), mine=("2", "c" * 64))
    assert changed_code(old, newer) == "with mine 1, which is 2 now"
    assert "without mine" in changed_code(of(fedbench=("1", "a" * 64)), old)
    assert "no part in it now" in changed_code(old, of(fedbench=("1", "a" * 64)))
    here, there = (Identity(data_sha256=s * 64, backbone_sha256="d" * 64) for s in "ab")
    assert changed_content(here, there) == "with other content of its data (aaaaaaaa, now bbbbbbbb)"
    assert not changed_content(here, here) and not changed_content(None, here)


def test_the_code_of_a_package_is_all_its_modules(tmp_path, monkeypatch):
    monkeypatch.syspath_prepend(str(tmp_path))
    plugin = Plugin("own-code", "1.0", "own", "own_code_package.hooks")
    (tmp_path / "own_code_package" / "inner").mkdir(parents=True)
    for name in ("__init__.py", "hooks.py", "inner/__init__.py", "inner/deep.py"):
        (tmp_path / "own_code_package" / name).write_text(f"# {name}\n")

    def sha():
        source_code.__globals__["_sha256"].cache_clear()
        return source_code([plugin])["own_code_package"].sha256

    before = sha()
    (tmp_path / "own_code_package" / "notes.txt").write_text("no code")
    assert sha() == before
    (tmp_path / "own_code_package" / "inner" / "deep.py").write_text("changed = 1\n")
    assert sha() != before


def png(colour):
    file = BytesIO()
    Image.new("RGB", (4, 4), colour).save(file, "png")
    return file.getvalue()


class Files(StoredImages):
    def __init__(self, folder):
        self.paths = sorted(Path(folder).iterdir())

    def __len__(self):
        return len(self.paths)

    def stored(self, number):
        return self.paths[number].read_bytes()


def data_of(images, answer="red"):
    return AlignmentData(
        name="d",
        image_fingerprint="what the data set says of itself",
        images=images,
        units=np.arange(len(images)),
        pairs=(Pair(0, "what is it?", answer),),
        suites={},
    )


def test_content_is_hashed_by_the_engine(tmp_path):
    """Whatever the data set's own fingerprint, the folder's name and the files' time stamps are."""
    for folder in ("here", "there"):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "a.png").write_bytes(png("red"))
    here, there = Files(tmp_path / "here"), Files(tmp_path / "there")
    assert images_sha256(here) == images_sha256(there)
    stamp = (tmp_path / "here" / "a.png").stat()
    before = images_sha256(here)
    (tmp_path / "here" / "a.png").write_bytes(png("blue"))
    os.utime(tmp_path / "here" / "a.png", ns=(stamp.st_atime_ns, stamp.st_mtime_ns))
    assert images_sha256(here) != before
    pixels = [Image.new("RGB", (4, 4), "red")]
    assert images_sha256(pixels) != images_sha256([Image.new("RGB", (4, 4), "blue")])
    one, two = data_of(pixels), data_of(pixels, answer="a red square")
    assert data_sha256(one, "i") != data_sha256(two, "i") and data_sha256(one, "i") != data_sha256(one, "j")


def test_cached_features_of_another_encoder_are_not_used(start, tmp_path, monkeypatch):
    """An encoder that was edited under its old name: the cache holds what it gave before."""
    monkeypatch.setenv("FEDBENCH_CACHE", str(tmp_path))
    said, data = [], data_of([Image.new("RGB", (4, 4), colour) for colour in ("red", "blue", "green")])

    def features(level):
        backbone = Backbone(
            name="b",
            fingerprint="0" * 64,
            encoder="e",
            encode=lambda images: torch.full((len(images), 1, 2), level),
            llm=None,
            tokenizer=None,
        )
        owners = start.resolved.backbone, start.resolved.data
        return encoded(backbone, data, "images", owners=owners, device=torch.device("cpu"), say=said.append)

    assert features(1.0).mean() == 1 and features(1.0).mean() == 1 and len(said) == 1
    assert features(1.00001).mean() == 1, "rounding is no other encoder"
    assert features(2.0).mean() == 2 and "encoding again" in said[1]
    assert FeatureCache.default().size()[0] == 1


def test_a_backbone_is_known_by_its_weights():
    from transformers import LlamaConfig, LlamaForCausalLM

    tiny = LlamaConfig(
        vocab_size=32, hidden_size=8, intermediate_size=8, num_hidden_layers=1, num_attention_heads=2
    )

    def backbone(llm):
        return Backbone(name="b", fingerprint="0", encoder="e", encode=len, llm=llm, tokenizer=None)

    llm = LlamaForCausalLM(tiny)
    before = backbone_sha256(backbone(llm))
    assert backbone_sha256(backbone(llm)) == before
    with torch.no_grad():
        llm.lm_head.weight[0, 0] += 1e-3
    assert backbone_sha256(backbone(llm)) != before


def test_a_record_that_is_replaced_stays_under_a_number(tmp_path):
    old, new = example_record(value=0.5), example_record(value=0.6)
    write_record(tmp_path, old)
    write_record(tmp_path, new, replace=True)
    assert (
        read_record(tmp_path / "replaced-0001.json") == old and read_record(tmp_path / "record.json") == new
    )
