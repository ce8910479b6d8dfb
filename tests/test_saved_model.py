"""Trained models as folders: peft loads them onto the same base, and a run begins with one."""

import json
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file
from test_lora import backbone, random_params

from fedbench import UsageError, torch_stream
from fedbench.alignment.trainable import Trainable
from fedbench.api.scenario import LoraSettings
from fedbench.models.lora import LoraAdapters
from fedbench.models.projector import Projector
from fedbench.models.saved import SavedModel, folder_sha256

LORA = ["training.trainable=projector+lora", "training.lora.rank=4", "training.lora.alpha=8.0"]


def trainable(base, **settings):
    adapters = LoraAdapters.of(base.llm, LoraSettings(rank=4, alpha=8.0, **settings))
    return Trainable(Projector(6, 5, 16), adapters=adapters)


def logits(llm):
    with torch.no_grad():
        return llm(torch.tensor([[3, 1, 4, 1, 5]])).logits


@pytest.mark.filterwarnings("ignore")  # peft's own
@pytest.mark.parametrize("moved", [False, True])
def test_peft_loads_what_was_trained_and_gives_the_same_logits(tmp_path, moved):
    peft = pytest.importorskip("peft")
    base = backbone()
    base.llm.float().set_attn_implementation("sdpa")
    made = trainable(base)
    params = torch.randn(made.space.size, generator=torch_stream(0, "p")) * 0.2
    if moved:
        offset = {
            path: 0.1 * torch.randn(shape, generator=torch_stream(1, path))
            for path, shape in made.bases.shapes.items()
        }
        made = made.moved(offset)
    (model,) = made.models(params[None])
    with made.attached(model[None]):
        ours = logits(base.llm)
    made.saved(model, "f" * 64).write(tmp_path)
    theirs = peft.PeftModel.from_pretrained(base.llm, tmp_path)
    torch.testing.assert_close(logits(theirs), ours, rtol=1e-4, atol=1e-4)
    assert not torch.allclose(logits(theirs.unload()), ours, atol=1e-2)


def test_a_folder_is_read_as_it_was_written(tmp_path):
    base = backbone()
    made = trainable(base)
    params = random_params(made.adapters, 1)[0].float()
    whole = torch.cat([torch.randn(made.connector.space.size), params])
    made.saved(whole, "f" * 64).write(tmp_path)
    again = SavedModel.read(tmp_path)
    assert (again.rank, again.alpha, again.backbone) == (4, 8.0, "f" * 64)
    views = made.space.views(whole)
    assert all(
        torch.equal(value, views[name]) for name, value in {**again.projector, **again.adapters}.items()
    )
    assert set(again.projector) | set(again.adapters) == set(views)


def test_a_folder_of_something_else_is_refused(tmp_path):
    with pytest.raises(UsageError, match=r"neither projector.safetensors nor adapter_model"):
        SavedModel.read(tmp_path)
    (tmp_path / "adapter_model.safetensors").write_bytes(b"rubbish")
    with pytest.raises(UsageError, match="can't be read"):
        SavedModel.read(tmp_path)


def test_a_run_saves_its_model_and_another_begins_with_it(fedbench, tiny):
    sets = [word for each in LORA for word in ("--set", each)]
    code, out, err = fedbench("run", "-m", "fedavg", "-s", "tiny", *sets, "--save-model", "--format", "json")
    assert code == 0, err
    record = json.loads(out)[0]["record"]
    folder = Path(record).parent / "model"
    config = json.loads((folder / "adapter_config.json").read_text())
    assert (config["r"], config["lora_alpha"]) == (4, 8.0)
    assert all(
        name.startswith("base_model.model.") for name in load_file(folder / "adapter_model.safetensors")
    )

    code, out, err = fedbench("run", "-m", "start", "-s", "tiny", *sets, "--from", record, "--format", "json")
    assert code == 0, err
    (begun,), first = json.loads(out), json.loads(Path(record).read_text())
    last = first["rounds"]["log"][-1]["digest"]
    second = json.loads(Path(begun["record"]).read_text())
    assert second["rounds"]["log"][0]["digest"] == last
    assert second["scenario"]["changes"]["start.sha256"] == folder_sha256(folder)

    for wrong, complaint in (
        (["--set", "training.lora.rank=2"], "rank 4 and alpha 8"),
        (["--set", "training.lora.alpha=4.0"], "rank 4 and alpha 8"),
    ):
        code, _, err = fedbench("run", "-m", "start", "-s", "tiny", *sets, *wrong, "--from", record)
        assert code == 2 and complaint in err and err.count("\n") == 1
    code, _, err = fedbench("run", "-m", "start", "-s", "tiny", "--from", record)
    assert code == 2 and "trains the projector only" in err


def test_an_adapter_of_another_base_is_refused(fedbench, tmp_path, tiny):
    sets = [word for each in LORA for word in ("--set", each)]
    assert fedbench("run", "-m", "start", "-s", "tiny", *sets, "--save-model")[0] == 0
    (folder,) = tmp_path.rglob("model")
    path = folder / "projector.safetensors"
    save_file(load_file(path), path, metadata={"fedbench_backbone": "0" * 64})
    code, _, err = fedbench("run", "-m", "start", "-s", "tiny", *sets, "--from", str(folder))
    assert code == 2 and "belongs to another base" in err


def test_training_an_adapter_without_a_projector_is_refused(fedbench, tiny):
    sets = ["--set", "training.trainable=lora", "--set", "training.lora.rank=4"]
    code, _, err = fedbench("run", "-m", "fedavg", "-s", "tiny", *sets)
    assert code == 2 and "has no projector" in err


@pytest.mark.parametrize(
    ("changes", "complaint"),
    [
        (["training.trainable=lora"], r"needs a [training.lora] section"),
        (["training.lora.rank=4"], "says nothing where trainable is 'projector'"),
        ([*LORA, "training.lora.rank=0"], "training.lora.rank"),
        ([*LORA, "training.lora.rank=[4,8]"], "2 values for 3 clients"),
        ([*LORA, 'training.lora.targets=["q_porj"]'], "no module of the LLM is called 'q_porj'"),
        ([*LORA, "training.lora.rank=999"], "rank 999 is too large"),
    ],
)
def test_bad_settings_end_with_one_line(fedbench, tiny, changes, complaint):
    sets = [word for each in changes for word in ("--set", each)]
    code, out, err = fedbench("run", "-m", "fedavg", "-s", "tiny", *sets)
    assert (code, out, err.count("\n")) == (2, "", 1) and complaint in err, err


def test_a_projector_beside_adapters_begins_as_the_backbones(fedbench, tiny):
    """A run of the untouched start answers as the backbone does: adapters add nothing at first."""
    measures = []
    for trainable in ("lora", "projector+lora"):
        sets = [f"training.trainable={trainable}", "training.lora.rank=4", "backbone.name=nano-sighted"]
        sets.append("backbone.sha256=none")
        words = [word for each in sets for word in ("--set", each)]
        code, out, err = fedbench("run", "-m", "start", "-s", "tiny", *words, "--format", "json")
        assert code == 0, err
        measures.append(json.loads(out)[0]["value"])
    assert measures[0] == measures[1]
