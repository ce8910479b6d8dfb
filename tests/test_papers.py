"""The papers' checkpoints and data: fedbench computes what transformers does, and says what is wrong."""

import json
import socket

import huggingface_hub.constants
import numpy as np
import pytest
import tiny_checkpoints as tiny
import tiny_tables as tables
import torch
from conftest import mostly_slow
from fedbench_papers.clip import clip_llama
from fedbench_papers.hooks import BACKBONES, SCENARIOS
from fedbench_papers.mme import mme_realworld
from fedbench_papers.options import ClipVicuna7B, LlavaOneVision05B, MMERealWorld, Qwen2VL2B, Qwen25VL7B
from fedbench_papers.vlm import llava_onevision, qwen2_5_vl, qwen2_vl
from PIL import Image
from safetensors.torch import load_file, save_file
from transformers import (
    AutoTokenizer,
    CLIPImageProcessorPil,
    CLIPVisionModel,
    LlamaForCausalLM,
    LlavaConfig,
    LlavaForConditionalGeneration,
    LlavaOnevisionForConditionalGeneration,
    LlavaOnevisionImageProcessorPil,
    Qwen2_5_VLForConditionalGeneration,
    Qwen2VLForConditionalGeneration,
    Qwen2VLImageProcessorPil,
)

from fedbench.api.reward_fuser import ResponseBatch
from fedbench.catalog import Catalog
from fedbench.data import Item
from fedbench.data.loading import load_data, load_partition
from fedbench.errors import UsageError
from fedbench.evaluation.packing import pack
from fedbench.evaluation.scoring import generate, likelihoods
from fedbench.jobs import plan_jobs
from fedbench.models.language import LanguageModel
from fedbench.models.policy import Policy, Questions
from fedbench.models.projector import Projector
from fedbench.models.rewards import VLMReward
from fedbench.plugins import Plugins
from fedbench.results.store import find_records, read_record
from fedbench.rng import torch_stream
from fedbench.runner import Runner
from fedbench.scenario_files import load_scenario

QWEN_SIZE = 24
"""3 × 3 tokens, so that rows and columns can't be mistaken for each other's number."""
ASKED = [
    ("what is this?", "a cat"),
    ("which letter is the right one? (A) north (B) south", "B"),
    ("why?", "because it is so, and so it is"),
]


def image(seed, width=40, height=28):
    pixels = np.random.default_rng(seed).integers(0, 256, (height // 4, width // 4, 3), dtype=np.uint8)
    return Image.fromarray(pixels).resize((width, height), Image.Resampling.BICUBIC)


@pytest.fixture(autouse=True)
def _cache(tmp_path_factory, monkeypatch):
    monkeypatch.setenv("FEDBENCH_CACHE", str(tmp_path_factory.getbasetemp() / "papers-cache"))


IMAGES = [image(0), image(1, 24, 56), image(2, 32, 32)]


class QwenTruth:
    """What transformers makes of an image and a text, with its own processor's pixel values."""

    token, size, closing = "<|image_pad|>", QWEN_SIZE, 0

    def __init__(self, folder, kind):
        self.model = kind.from_pretrained(folder, dtype=torch.float32).eval()
        self.tokenizer = AutoTokenizer.from_pretrained(folder)
        pixels = {"shortest_edge": self.size**2, "longest_edge": self.size**2}
        self.processor = Qwen2VLImageProcessorPil.from_pretrained(folder, size=pixels)

    def shown(self, picture):
        return self.processor(
            picture.resize((self.size, self.size), Image.Resampling.BICUBIC), return_tensors="pt"
        )

    def inputs(self, picture, ids):
        ids = torch.tensor([ids])
        kinds = (ids == self.model.config.image_token_id).int()
        return {"input_ids": ids, "mm_token_type_ids": kinds, **self.shown(picture)}

    def visual(self, picture):
        shown = self.shown(picture)
        found = self.model.get_image_features(shown["pixel_values"], shown["image_grid_thw"])
        return found.pooler_output[0]

    def ids(self, question, answer="", *, tokens):
        content = [{"type": "image"}, {"type": "text", "text": question}]
        text = self.tokenizer.apply_chat_template(
            [{"role": "user", "content": content}], tokenize=False, add_generation_prompt=True
        )
        text = text.replace(self.token, self.token * (tokens + self.closing)) + answer
        return self.tokenizer(text, add_special_tokens=False)["input_ids"]


class LlavaTruth(QwenTruth):
    """Several images at once: each is one tile. So there are always two of everything."""

    token, size, closing = "<image>", tiny.SIDE, 1

    def __init__(self, folder, kind):
        self.model = kind.from_pretrained(folder, dtype=torch.float32).eval()
        self.tokenizer = AutoTokenizer.from_pretrained(folder)
        self.processor = LlavaOnevisionImageProcessorPil.from_pretrained(folder)

    def shown(self, picture):
        picture = picture.resize((self.size, self.size), Image.Resampling.BICUBIC)
        return self.processor([[picture, picture]], return_tensors="pt")

    def inputs(self, picture, ids):
        return {"input_ids": torch.tensor([ids, ids]), **self.shown(picture)}

    def visual(self, picture):
        return self.model.get_image_features(**self.shown(picture)).pooler_output[0][:-1]


CASES = {
    "qwen2_vl": (
        tiny.qwen2_vl, qwen2_vl, Qwen2VL2B, {"size": QWEN_SIZE}, QwenTruth, Qwen2VLForConditionalGeneration
    ),
    "qwen2_5_vl": (
        tiny.qwen2_5_vl, qwen2_5_vl, Qwen25VL7B, {"size": QWEN_SIZE}, QwenTruth,
        Qwen2_5_VLForConditionalGeneration,
    ),
    "llava_onevision": (
        tiny.llava_onevision, llava_onevision, LlavaOneVision05B, {}, LlavaTruth,
        LlavaOnevisionForConditionalGeneration,
    ),
}  # fmt: skip


class Case:
    """A tiny checkpoint as fedbench sees it and as transformers does."""

    def __init__(self, name, folder):
        save, factory, options, changes, truth, kind = CASES[name]
        self.name = name
        self.folder = save(folder)
        self.backbone = factory(options(path=str(folder), **changes)).freeze(torch.device("cpu"))
        self.truth = truth(folder, kind)
        self.features = self.backbone.encode(IMAGES)
        self.tokens = self.features.shape[1]
        self.projector = Projector.holding(
            self.backbone.projector, self.features.shape[2], self.backbone.width
        )
        self.policy = Policy(self.backbone, self.projector, self.backbone.projector, self.features)
        self.llm = LanguageModel(self.backbone)


@pytest.fixture(scope="module", params=CASES)
def case(request, tmp_path_factory):
    return Case(request.param, tmp_path_factory.mktemp(request.param))


def close(found, wanted, tolerance=1e-4):
    torch.testing.assert_close(found, wanted, rtol=0, atol=tolerance)


@torch.no_grad()
def test_the_projector_on_the_features_gives_the_models_own_visual_tokens(case):
    visual = case.projector(case.backbone.projector[None], case.features[None])[0]
    wanted = torch.stack([case.truth.visual(picture) for picture in IMAGES])
    assert wanted.std() > 0.1 and not torch.allclose(wanted[0], wanted[1], atol=0.1)
    close(visual, wanted, 1e-5)


def test_an_image_that_is_shrunk_first_has_the_same_features(case):
    shrunk = [case.backbone.shrink(picture) for picture in IMAGES]
    assert {picture.size for picture in shrunk} == {(case.truth.size, case.truth.size)}
    assert torch.equal(case.backbone.encode(shrunk), case.features)


def test_a_question_is_the_same_tokens_that_the_chat_template_gives(case):
    template = case.backbone.chat_template
    before = case.truth.tokenizer(template.before, add_special_tokens=False)["input_ids"]
    shown = [case.truth.model.config.image_token_id] * (case.tokens + case.truth.closing)
    for question, _ in ASKED:
        (prompt,) = case.llm.prompt_ids([question])
        assert [*before, *shown, *prompt] == case.truth.ids(question, tokens=case.tokens)


def test_logp_of_answers_is_that_of_transformers(case):
    """A batch of questions of different lengths about different images, against one at a time."""
    prompts = case.llm.prompt_ids([question for question, _ in ASKED])
    answers = case.llm.answer_ids([answer for _, answer in ASKED])
    ids = torch.nn.utils.rnn.pad_sequence([torch.tensor(answer) for answer in answers], batch_first=True)
    mask = torch.arange(ids.shape[1]) < torch.tensor([len(answer) for answer in answers])[:, None]
    found = case.policy.logp(Questions(torch.tensor([0, 1, 2]), prompts), ids, mask)
    for row, (question, answer) in enumerate(ASKED):
        whole = case.truth.ids(question, f"{answer}<|im_end|>", tokens=case.tokens)
        with torch.no_grad():
            table = case.truth.model(**case.truth.inputs(IMAGES[row], whole)).logits[0].log_softmax(-1)
        start = len(whole) - len(answers[row])
        assert whole[start:] == answers[row]
        wanted = table[torch.arange(start - 1, len(whole) - 1), torch.tensor(answers[row])]
        assert wanted.std() > 0.1, "a model that says something"
        close(found[row, : len(answers[row])].detach(), wanted)
    found.sum().backward()
    assert all(p.grad is not None and p.grad.isfinite().all() for p in case.policy.parameters())


def test_greedy_answers_are_those_of_transformers(case):
    prompts = case.llm.prompt_ids([question for question, _ in ASKED])
    drawn = case.policy.sample(
        Questions(torch.tensor([0, 1, 2]), prompts), 1, limit=10, temperature=0.0, stream=None
    )
    said = set()
    for row, (question, _) in enumerate(ASKED):
        asked = case.truth.ids(question, tokens=case.tokens)
        wanted = case.truth.model.generate(
            **case.truth.inputs(IMAGES[row], asked), max_new_tokens=10, do_sample=False,
            eos_token_id=case.llm.eos, pad_token_id=case.llm.eos,
        )[0, len(asked) :].tolist()  # fmt: skip
        assert drawn.ids[row][drawn.mask[row]].tolist() == wanted
        said.add(tuple(wanted))
    assert len(said) > 1, "different images and questions, different answers"


def test_choices_and_generated_answers_are_evaluated_as_transformers_has_it(case):
    items = [Item(i, question, answer, "g", (answer, "no")) for i, (question, answer) in enumerate(ASKED)]
    with torch.no_grad():
        visual = case.policy.visual(torch.arange(3))
    found = likelihoods(case.llm, pack(items, case.llm), visual)
    for row, item in enumerate(items):
        for column, choice in enumerate(item.choices):
            whole = case.truth.ids(item.prompt, f"{choice}<|im_end|>", tokens=case.tokens)
            with torch.no_grad():
                table = case.truth.model(**case.truth.inputs(IMAGES[row], whole)).logits[0].log_softmax(-1)
            (answer,) = case.llm.answer_ids([choice])
            places = torch.arange(len(whole) - len(answer) - 1, len(whole) - 1)
            wanted = table[places, torch.tensor(answer)].sum().item()
            assert found.logp[row][column] == pytest.approx(wanted, abs=1e-3)
    answers = case.policy.sample(
        Questions(torch.arange(3), case.llm.prompt_ids([item.prompt for item in items])),
        1, limit=10, temperature=0.0, stream=None,
    )  # fmt: skip
    assert generate(case.llm, items, visual, limit=10) == [t or None for t in case.policy.texts(answers)]


def test_a_reward_model_reads_the_last_token_as_transformers_does(case):
    """The checkpoint as a client's reward model: its own projector, a head on the last hidden state."""
    model = VLMReward(case.llm, case.features.shape[2], hidden=99)
    params = model.init(torch_stream(0, "init"))
    assert torch.equal(params[: len(case.backbone.projector)], case.backbone.projector)
    head = torch.randn(case.backbone.width, generator=torch_stream(0, "head"))
    params = torch.cat([params[: -len(head)], head])
    ids = [
        [*prompt, *answer]
        for prompt, answer in zip(
            case.llm.prompt_ids([question for question, _ in ASKED]),
            case.llm.answer_ids([answer for _, answer in ASKED]),
            strict=True,
        )
    ]
    padded = torch.nn.utils.rnn.pad_sequence([torch.tensor(row) for row in ids], batch_first=True)
    mask = torch.arange(padded.shape[1]) < torch.tensor([len(row) for row in ids])[:, None]
    images = torch.arange(3)[None]
    responses = ResponseBatch(
        case.features[None], padded[None], case.llm.embed(padded)[None], mask[None], images
    )
    with torch.no_grad():
        found = model(params[None], responses)[0]
        for row, (question, answer) in enumerate(ASKED):
            whole = case.truth.ids(question, f"{answer}<|im_end|>", tokens=case.tokens)
            output = case.truth.model(**case.truth.inputs(IMAGES[row], whole), output_hidden_states=True)
            close(found[row], output.hidden_states[-1][0, -1] @ head, 5e-4)


def test_images_may_be_of_any_shape_and_many(case):
    many = case.backbone.encode([*IMAGES, *IMAGES, *IMAGES, IMAGES[0].convert("L"), IMAGES[1].convert("P")])
    assert many.shape == (11, *case.features.shape[1:]) and many.dtype == torch.float32
    close(many[6:9], case.features, 1e-5)


def test_the_fingerprint_is_the_contents(case, tmp_path):
    save, factory, options, changes, *_ = CASES[case.name]

    def made(folder, **more):
        return factory(options(path=str(folder), **changes, **more))

    same = made(save(tmp_path / "same"))
    assert (same.fingerprint, same.encoder) == (case.backbone.fingerprint, case.backbone.encoder)
    half = made(case.folder, dtype="bfloat16")
    assert half.llm.dtype == torch.bfloat16 and half.encode(IMAGES).dtype == torch.float32
    assert half.encoder != same.encoder and half.fingerprint != same.fingerprint
    close(half.encode(IMAGES), case.features, 0.2)
    template = tmp_path / "same" / "chat_template.jinja"
    template.write_text(template.read_text().replace("assistant", "helper"))
    other = made(tmp_path / "same")
    assert other.encoder == same.encoder and other.fingerprint != same.fingerprint


def test_a_processors_own_chat_template_is_preferred(tmp_path):
    """As LLaVA-OneVision's repository has it: in a file of its own, and none with the tokenizer."""
    options = LlavaOneVision05B(path=str(tiny.llava_onevision(tmp_path)))
    expected = llava_onevision(options).chat_template
    template = tmp_path / "chat_template.jinja"
    (tmp_path / "chat_template.json").write_text(json.dumps({"chat_template": template.read_text()}))
    template.unlink()
    loaded = llava_onevision(options).chat_template
    assert (loaded.before, loaded.after, loaded.turn) == (expected.before, expected.after, expected.turn)
    assert loaded.before == "<|im_start|>user " and loaded.after == "\n"


def test_tied_embeddings_stay_tied(tmp_path):
    for tied in (True, False):
        folder = tiny.qwen2_5_vl(tmp_path / str(tied), tied=tied)
        llm = qwen2_5_vl(Qwen25VL7B(path=str(folder), size=QWEN_SIZE)).llm
        assert (llm.get_output_embeddings().weight is llm.get_input_embeddings().weight) == tied


@pytest.fixture(scope="module")
def blind(tmp_path_factory):
    """Fed-CMP's pair of checkpoints."""
    folder = tmp_path_factory.mktemp("clip-llama")
    return tiny.llama(folder / "llm"), tiny.clip(folder / "vision")


def test_captions_through_clip_and_llama_are_as_llava_has_them(blind):
    """LLaVA in transformers, put together from the same checkpoints and projector."""
    words, sight = blind
    backbone = clip_llama(ClipVicuna7B(path=str(words), vision_path=str(sight))).freeze(torch.device("cpu"))
    assert backbone.projector is None, "it has to be learned"
    llm, features = LanguageModel(backbone), backbone.encode(IMAGES)
    projector = Projector(features.shape[2], 20, backbone.width)
    params = projector.init(torch_stream(0, "init"))
    tower, text = CLIPVisionModel.from_pretrained(sight), LlamaForCausalLM.from_pretrained(words)
    shown = len(backbone.tokenizer)
    llava = LlavaForConditionalGeneration(
        LlavaConfig(vision_config=tower.config, text_config=text.config, image_token_index=shown)
    ).eval()
    llava.model.vision_tower, llava.model.language_model, llava.lm_head = tower, text.model, text.lm_head
    up, down = torch.nn.Linear(16, 20), torch.nn.Linear(20, 32)
    views = projector.space.views(params)
    for name, layer in (("up", up), ("down", down)):
        layer.weight.data, layer.bias.data = views[f"{name}.weight"], views[f"{name}.bias"]
    llava.model.multi_modal_projector = torch.nn.Sequential(up, torch.nn.GELU(), down)
    items = [
        Item(row, "Describe it.", caption, "g") for row, caption in enumerate(("a cat", "so", "one dog"))
    ]
    with torch.no_grad():
        found = likelihoods(llm, pack(items, llm), projector(params[None], features[None])[0])
        for row, item in enumerate(items):
            (answer,), tokenizer = llm.answer_ids([item.answer]), backbone.tokenizer
            prompt = tokenizer(f"{item.prompt}\n", add_special_tokens=False)["input_ids"]
            ids = [tokenizer.bos_token_id, *[shown] * features.shape[1], *prompt, *answer]
            pixels = CLIPImageProcessorPil.from_pretrained(sight)(IMAGES[row], return_tensors="pt")
            table = llava(input_ids=torch.tensor([ids]), **pixels).logits[0].log_softmax(-1)
            places = torch.arange(len(ids) - len(answer) - 1, len(ids) - 1)
            wanted = table[places, torch.tensor(answer)].sum().item()
            assert found.logp[row] == pytest.approx([wanted], abs=1e-3)


# What is wrong with a checkpoint


def rewritten(folder, name, **changes):
    path = folder / name
    path.write_text(json.dumps(json.loads(path.read_text()) | changes))


def without(folder, *names):
    for name in names:
        (folder / name).unlink()


def without_a_weight(folder):
    path = folder / "model.safetensors"
    weights = load_file(path)
    del weights[next(name for name in weights if name.endswith("layers.1.mlp.up_proj.weight"))]
    save_file(weights, path, metadata={"format": "pt"})


def cut_short(folder):
    path = folder / "model.safetensors"
    path.write_bytes(path.read_bytes()[:-100])


def with_more_tokens(folder):
    words = AutoTokenizer.from_pretrained(folder)
    words.add_tokens([f"<more {i}>" for i in range(tiny.ROWS)])
    words.save_pretrained(folder)


def with_another_template(folder):
    (folder / "chat_template.jinja").write_text("{{ messages[0].content[1].text }} and no image")


BROKEN = {
    "another architecture": (
        lambda f: tiny.llava_onevision(f), r"not of architecture 'qwen2_vl' in \S+: .*'llava_onevision' —"
    ),
    "no vision": (tiny.llama, r"not of architecture 'qwen2_vl' .*'llama', which has no vision tower — set"),
    "no config": (lambda f: without(f, "config.json"), "can't read the checkpoint's config.json"),
    "code of its own": (
        lambda f: rewritten(f, "config.json", model_type="mine", auto_map={"AutoConfig": "mine.Config"}),
        "can't read the checkpoint's config.json",
    ),
    "no safetensors": (lambda f: without(f, "model.safetensors"), "has no safetensors .*other formats"),
    "weights cut short": (cut_short, "can't load the checkpoint's weights"),
    "a weight missing": (without_a_weight, r"weights are incomplete .*: 1 are missing, such as .*up_proj"),
    "no tokenizer": (
        lambda f: without(f, "tokenizer.json", "tokenizer_config.json"), "the checkpoint has no tokenizer"
    ),
    "no processor": (lambda f: without(f, "preprocessor_config.json"), "checkpoint's image processor"),
    "no image token": (
        lambda f: rewritten(f, "config.json", image_token_id=290),
        "tokenizer and model do not belong together .*: the model's image token is 290, which .* — restore",
    ),
    "another image token": (
        lambda f: rewritten(f, "config.json", image_token_id=262),
        r"tokenizer and chat template do not belong together .*one image \(<\|video_pad\|>\)",
    ),
    "more tokens than embeddings": (
        with_more_tokens, r"do not belong together .*has 563 tokens, the model embeddings of 300 — restore"
    ),
    "no chat template": (lambda f: without(f, "chat_template.jinja"), "can't use the checkpoint's chat"),
    "a template without the image": (with_another_template, "does not show one image"),
}  # fmt: skip


@pytest.mark.parametrize("problem", BROKEN)
def test_an_unsound_checkpoint_is_refused_in_one_line(problem, tmp_path):
    spoil, message = BROKEN[problem]
    folder = tiny.qwen2_vl(tmp_path / "checkpoint")
    if problem in ("another architecture", "no vision"):
        folder = tmp_path / "other"
    spoil(folder)
    with pytest.raises(UsageError, match=message) as error:
        qwen2_vl(Qwen2VL2B(path=str(folder), size=QWEN_SIZE))
    assert str(folder) in str(error.value) and " — " in str(error.value)


def test_what_our_attention_and_projector_cannot_do_is_refused(tmp_path):
    folder = tiny.qwen2_vl(tmp_path / "qwen")
    with pytest.raises(UsageError, match=r"can't be 20 pixels wide .* 8 × 8 .* — set backbone.options.size"):
        qwen2_vl(Qwen2VL2B(path=str(folder), size=20))
    text = json.loads((folder / "config.json").read_text())["text_config"]
    layers = ["sliding_attention", "full_attention"]
    sliding = {"use_sliding_window": True, "sliding_window": 8, "layer_types": layers}
    rewritten(folder, "config.json", text_config=text | sliding)
    with pytest.raises(UsageError, match="it has sliding attention"):
        qwen2_vl(Qwen2VL2B(path=str(folder), size=QWEN_SIZE))
    folder = tiny.llava_onevision(tmp_path / "llava", act="gelu_pytorch_tanh")
    with pytest.raises(UsageError, match=r"not Linear–GELU–Linear .*'gelu_pytorch_tanh'"):
        llava_onevision(LlavaOneVision05B(path=str(folder)))


# Folders and the Hub


def as_cached(hub, repository, save, revision="main"):
    """``save``'s checkpoint where the Hub's client would have downloaded it to."""
    folder = hub / f"models--{repository.replace('/', '--')}"
    (folder / "refs").mkdir(parents=True)
    (folder / "refs" / revision).write_text("1" * 40)
    return save(folder / "snapshots" / ("1" * 40))


@pytest.fixture
def offline(tmp_path, monkeypatch):
    """An empty cache of the Hub's, and no network."""

    def refused(*arguments, **settings):
        raise AssertionError("the network was asked")

    monkeypatch.setattr(socket, "getaddrinfo", refused)
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_CACHE", str(tmp_path / "hub"))
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", True)
    return tmp_path / "hub"


def test_a_repository_in_the_local_cache_is_found_by_its_id_and_revision(offline):
    as_cached(offline, "Qwen/Qwen2-VL-2B-Instruct", tiny.qwen2_vl, revision="v1")
    options = Qwen2VL2B(size=QWEN_SIZE, revision="v1", local_files_only=True)
    assert qwen2_vl(options).name == "qwen2-vl-2b"
    with pytest.raises(UsageError, match=r"hf download Qwen/Qwen2-VL-2B-Instruct --revision v2 --local-dir"):
        qwen2_vl(Qwen2VL2B(size=QWEN_SIZE, revision="v2", local_files_only=True))


@pytest.mark.parametrize(
    "path", ["/nowhere/at/all", "./nowhere", "~/nowhere", "three/parts/here", "no folder"]
)
def test_what_is_neither_a_folder_nor_an_id_is_said(path, offline):
    with pytest.raises(UsageError, match=f"there is no folder '{path}'.* — set backbone.files.path"):
        qwen2_vl(Qwen2VL2B(path=path))
    with pytest.raises(UsageError, match=f"there is no folder or file '{path}'.* — set data.files.path"):
        mme_realworld(MMERealWorld(path=path))


# The scenarios


@pytest.fixture(scope="module")
def shelf(tmp_path_factory):
    return tables.shelf(tmp_path_factory.mktemp("shelf"))


HELD_OUT = ["table", "count"]
NAMES = sorted(path.stem for path in SCENARIOS.glob("*.toml"))


def test_the_scenarios_are_valid_and_listed(fedbench):
    assert NAMES == ["fedcmp-cc12m", "mor-domains", "mor-heterogeneous", "mor-mme-realworld"]
    code, out, err = fedbench("validate", *(SCENARIOS / f"{name}.toml" for name in NAMES))
    assert code == 0 and out.count(" valid") == len(NAMES) and not err
    code, out, err = fedbench("list", "scenarios", "--format", "json")
    assert code == 0 and set(NAMES) <= {row["name"] for row in json.loads(out)}


def test_the_scenarios_say_what_the_papers_say():
    for name in NAMES:
        scenario = load_scenario(SCENARIOS / f"{name}.toml")
        if scenario.track == "alignment":
            assert (scenario.federation.clients, scenario.federation.rounds) == (5, 10)
            assert (scenario.training.lr, scenario.training.schedule) == (1e-3, "cosine")
            continue
        policy = scenario.policy
        assert (policy.group, policy.lr, policy.kl_weight) == (5, 1e-6, 1e-2)
        assert (policy.clip_low, policy.clip_high, policy.temperature) == (0.2, 0.3, 1.0)
        assert scenario.backbone.name == "qwen2.5-vl-7b" and 2 <= scenario.federation.clients <= 4


def test_a_client_is_a_subtask(shelf):
    changes = {"data.files.path": str(shelf / "mme"), "data.options.held_out": HELD_OUT}
    scenario = load_scenario(SCENARIOS / "mor-mme-realworld.toml", changes)
    catalog = Catalog(Plugins(strict=True))
    resolved = catalog.resolve(scenario)
    data = load_data(resolved)
    partition = load_partition(resolved, data)
    subtasks = np.array(data.labels["subtask"])
    for units, held, name in zip(
        partition.train, partition.evaluation, sorted(scenario.data.options["clients"]), strict=True
    ):
        assert set(subtasks[units]) == set(subtasks[held]) == {name}
    assert sum(map(len, partition.shards(data))) == len(data.pairs)


@pytest.mark.parametrize("name", [options.name for options, *_ in BACKBONES])
def test_without_the_hub_a_backbone_says_what_to_download(name, offline):
    entry = Catalog(Plugins(strict=True)).backbones[name]
    options = entry.options()
    with pytest.raises(UsageError) as error:
        entry.create(options)
    said = str(error.value)
    assert f"can't get the model '{options.path}'" in said and f"hf download {options.path}" in said
    assert "--set backbone.files.path=FOLDER" in said


@pytest.mark.parametrize("name", NAMES)
def test_without_the_hub_a_run_ends_with_that_line(name, fedbench, offline):
    code, out, err = fedbench("run", "-m", "start", "-s", name)
    wanted = "lmsys/vicuna-7b-v1.5 --revision refs/pr/3" if "cmp" in name else "Qwen/Qwen2.5-VL-7B-Instruct"
    assert code == 2 and not out and len(err.strip().splitlines()) == 1
    assert f"where there is a network: hf download {wanted} --local-dir FOLDER" in err


def test_every_backbone_that_a_scenario_judges_with_is_registered():
    known = {options.name for options, *_ in BACKBONES}
    sources = load_scenario(SCENARIOS / "mor-heterogeneous.toml").rewards.models
    assert len({source.backbone.name for source in sources}) == 3
    assert {source.backbone.name for source in sources} < known


def test_the_scenarios_backbone_and_data_from_folders_of_ones_own(shelf, tmp_path):
    """What a run of the preference track does with them: asks, samples, scores and sources."""
    folder = tiny.qwen2_5_vl(tmp_path / "checkpoint")
    changes = {
        "backbone.files.path": str(folder), "backbone.options.size": QWEN_SIZE,
        "data.files.path": str(shelf / "mme"), "data.options.held_out": HELD_OUT,
    }  # fmt: skip
    scenario, catalog = (
        load_scenario(SCENARIOS / "mor-mme-realworld.toml", changes),
        Catalog(Plugins(strict=True)),
    )
    resolved = catalog.resolve(scenario)
    backbone = resolved.backbone.make().freeze(torch.device("cpu"))
    assert backbone.llm.dtype == torch.bfloat16 and backbone.name == "qwen2.5-vl-7b"
    data = load_data(resolved)
    features = backbone.encode(list(data.images))
    projector = Projector.holding(backbone.projector, features.shape[2], backbone.width)
    policy = Policy(backbone, projector, backbone.projector, features)
    prompts = policy.llm.prompt_ids([query.prompt for query in data.queries])
    asked = Questions(torch.tensor([query.image for query in data.queries]), prompts)
    drawn = policy.sample(asked, 2, limit=4, temperature=1.0, stream=torch_stream(0, "draw"))
    again = policy.logp(asked.repeated(2), drawn.ids, drawn.mask)
    close(again.detach(), drawn.logp, 1e-4)


def test_fed_cmp_runs_end_to_end_on_tiny_checkpoints(blind, shelf, fedbench, tmp_path):
    words, sight = blind
    changes = {
        "backbone.files.path": words, "backbone.files.vision_path": sight,
        "backbone.options.dtype": "float32", "data.files.path": shelf / "cc12m", "data.options.test": 0.3,
        "federation.rounds": 2, "training.batch_size": 2, "training.hidden": 16,
    }  # fmt: skip
    arguments = [part for key, value in changes.items() for part in ("--set", f"{key}={value}")]
    code, _, err = fedbench(
        "run", "-m", "fedavg", "-s", "fedcmp-cc12m", *arguments, "--executor", "serial",
        "--output", tmp_path / "runs",
    )  # fmt: skip
    assert code == 0, err
    (path,) = find_records([tmp_path / "runs"])
    record = read_record(path)
    assert record.status == "completed" and record.data.backbone == "clip-vicuna-7b"
    assert record.rounds[0].digest != record.rounds[-1].digest
    assert {"test/match/accuracy", "test/caption/nll"} <= set(record.final)


WAYS = {"mor.rounds": 1, "mor.steps": 1, "mor.width": 8, "mor.heads": 2, "mor.layers": 1}


@pytest.mark.parametrize(
    "name", mostly_slow(["mor-mme-realworld", "mor-heterogeneous", "mor-domains"], "mor-heterogeneous")
)
def test_mor_runs_end_to_end_on_tiny_checkpoints(name, shelf, fedbench, tmp_path):
    """The whole track: reward models fitted, a router trained, GRPO steps, an evaluation, a record."""
    small = {"dtype": "float32", "size": QWEN_SIZE}
    places = {
        "qwen2-vl-2b": tiny.qwen2_vl(tmp_path / "qwen2"),
        "qwen2.5-vl-3b": tiny.qwen2_5_vl(tmp_path / "qwen25"),
        "llava-onevision-0.5b": tiny.llava_onevision(tmp_path / "llava"),
    }
    models = [
        {
            "architecture": "vlm",
            "backbone": {
                "name": kind,
                "options": small if kind.startswith("qwen") else {},
                "files": {"path": place},
            },
        }
        for kind, place in places.items()
    ]
    data, place = {"held_out": HELD_OUT}, shelf / "mme"
    if name == "mor-domains":
        domains = {"detail": ["SVIT"], "medical": ["LLaVAMed"], "ocr": ["LLaVAR"]}
        data, place = {"domains": domains}, shelf / "vlfeedback"
    changes = {"backbone.options": small, "federation.rounds": 2, "policy.steps": 1, "policy.queries": 2}
    changes |= {f"data.options.{key}": value for key, value in data.items()} | {"policy.max_tokens": 4}
    changes |= {"data.files.path": place, "backbone.files.path": tiny.qwen2_5_vl(tmp_path / "policy")}
    changes |= {"rewards.models": models} if name == "mor-heterogeneous" else {}
    catalog = Catalog(Plugins(strict=True))
    (job,) = plan_jobs(
        catalog, methods=["mor"], scenarios=[name], seeds=[0], options=WAYS, changes=changes,
        output=tmp_path / "runs",
    )  # fmt: skip
    record = read_record(Runner(catalog, torch.device("cpu"), "serial").run(job))
    assert record.status == "completed" and len(record.rounds) == 3
    assert record.rounds[0].digest != record.rounds[-1].digest
    assert record.primary in record.final and record.costs.uplink_bytes > 0
    assert {"0", "1", "2"} == set(record.rounds[-1].clients)
