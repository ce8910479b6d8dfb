"""LoRA along the client axis: peft's gradients, names and initialisation, and refusals."""

from __future__ import annotations

from collections.abc import Sequence

import pytest
import torch
from torch import Tensor
from transformers import LlamaConfig, LlamaForCausalLM

from fedbench import Backbone, UsageError, rank_mask, torch_stream
from fedbench.api.scenario import LoraSettings
from fedbench.models.language import LanguageModel
from fedbench.models.lora import LoraAdapters
from fedbench.models.ragged import Ragged
from fedbench.models.segments import own_outer, times_own

TINY = LlamaConfig(
    vocab_size=32,
    hidden_size=16,
    intermediate_size=24,
    num_hidden_layers=2,
    num_attention_heads=2,
    tie_word_embeddings=True,
)
LINEARS = ["q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj"]


def backbone(seed: int = 0, config: LlamaConfig = TINY) -> Backbone:
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        llm = LlamaForCausalLM(config).double()
    for path, module in list(llm.named_modules()):
        if type(module).__name__ == "LlamaRMSNorm":  # computes in float32 whatever it is given
            owner, _, name = path.rpartition(".")
            exact = torch.nn.RMSNorm(config.hidden_size, eps=config.rms_norm_eps).double()
            setattr(llm.get_submodule(owner), name, exact)
    return Backbone(
        name="tiny",
        fingerprint="0" * 64,
        encoder="1" * 64,
        encode=lambda images: torch.zeros(len(images), 4, 6),
        llm=llm,
        tokenizer=None,  # type: ignore[arg-type]
    ).freeze(torch.device("cpu"))


def lengths_of(clients: int, ragged: bool) -> list[list[int]]:
    """The lengths of three sequences of each client."""
    if not ragged:
        return [[5, 5, 5]] * clients
    return [[3 + (2 * client + row) % 6 for row in range(3)] for client in range(clients)]


def batch(lengths: Sequence[Sequence[int]]) -> tuple[Ragged, Tensor, list[int]]:
    flat = [length for client in lengths for length in client]
    ragged = Ragged(torch.arange(max(flat)) < torch.tensor(flat)[:, None])
    inputs = torch.randn(sum(flat), 16, generator=torch_stream(1, "inputs"), dtype=torch.float64)
    return ragged, inputs, [sum(client) for client in lengths]


def random_params(adapters: LoraAdapters, clients: int) -> Tensor:
    noise = torch.randn(
        clients, adapters.space.size, generator=torch_stream(2, "params"), dtype=torch.float64
    )
    return 0.3 * noise


def gradients(llm: LanguageModel, adapters: LoraAdapters, params: Tensor, lengths: list[list[int]]) -> Tensor:
    """The adapters' gradients [C, P] of one pass."""
    ragged, inputs, counts = batch(lengths)
    params = params.clone().requires_grad_(True)
    with adapters.attached(params, counts):
        hidden = llm.backbone.llm.base_model(
            inputs_embeds=inputs[None],
            position_ids=ragged.positions[None],
            attention_mask=torch.ones(1, 1, 1, 1, dtype=torch.bool),
            use_cache=False,
            ragged=ragged,
        ).last_hidden_state[0]
    weights = torch.randn(hidden.shape, generator=torch_stream(3, "loss"), dtype=torch.float64)
    (grads,) = torch.autograd.grad((hidden.tanh() * weights).sum(), params)
    return grads


@pytest.mark.filterwarnings("ignore:`is_gradient_checkpointing` is deprecated:FutureWarning")  # peft calls it
@pytest.mark.parametrize("ragged", [True, False])
@pytest.mark.parametrize("target", [*LINEARS, "all-linear"])
def test_one_pass_has_the_gradients_of_separate_peft_models(target: str, ragged: bool) -> None:
    peft = pytest.importorskip("peft")
    clients, lengths = 3, lengths_of(3, ragged)
    base = backbone()
    llm = LanguageModel(base)
    adapters = LoraAdapters.of(base.llm, LoraSettings(rank=4, alpha=8.0, targets=(target,)))
    params = random_params(adapters, clients)
    mine = gradients(llm, adapters, params, lengths)
    inputs, begin = batch(lengths)[1], 0
    weights = torch.randn(inputs.shape, generator=torch_stream(3, "loss"), dtype=torch.float64)
    for client in range(clients):
        config = peft.LoraConfig(
            r=4, lora_alpha=8.0, target_modules=LINEARS if target == "all-linear" else [target]
        )
        own = backbone().llm
        own.set_attn_implementation("sdpa")  # eager takes its softmax in float32
        model = peft.get_peft_model(own, config).double()
        named = {name.replace(".default", ""): value for name, value in model.named_parameters()}
        views = adapters.space.views(params[client])
        with torch.no_grad():
            for name, value in views.items():
                named[f"base_model.model.{name}"].copy_(value)
        loss = torch.zeros((), dtype=torch.float64)
        for length in lengths[client]:
            rows = slice(begin, begin + length)
            hidden = own.base_model(inputs_embeds=inputs[None, rows]).last_hidden_state[0]
            loss = loss + (hidden.tanh() * weights[rows]).sum()
            begin += length
        loss.backward()
        theirs = adapters.space.views(mine[client])
        for name, value in theirs.items():
            torch.testing.assert_close(value, named[f"base_model.model.{name}"].grad, rtol=0, atol=1e-10)


def test_one_pass_is_separate_passes() -> None:
    base, lengths = backbone(), lengths_of(5, ragged=True)
    llm = LanguageModel(base)
    adapters = LoraAdapters.of(base.llm, LoraSettings(rank=4))
    params = random_params(adapters, 5)
    together = gradients(llm, adapters, params, lengths)
    ragged, inputs, counts = batch(lengths)
    weights = torch.randn(inputs.shape, generator=torch_stream(3, "loss"), dtype=torch.float64)
    begin = 0
    for client, (rows, count) in enumerate(zip(lengths, counts, strict=True)):
        own = params[client : client + 1].clone().requires_grad_(True)
        alone = Ragged(torch.arange(max(rows)) < torch.tensor(rows)[:, None])
        with adapters.attached(own):
            hidden = llm.backbone.llm.base_model(
                inputs_embeds=inputs[None, begin : begin + count],
                position_ids=alone.positions[None],
                attention_mask=torch.ones(1, 1, 1, 1, dtype=torch.bool),
                use_cache=False,
                ragged=alone,
            ).last_hidden_state[0]
        (grads,) = torch.autograd.grad((hidden.tanh() * weights[begin : begin + count]).sum(), own)
        torch.testing.assert_close(together[client], grads[0], rtol=0, atol=1e-10)
        begin += count
    assert sum(counts) == len(ragged.where)


def test_a_smaller_rank_in_a_padded_space_trains_as_alone() -> None:
    base, lengths = backbone(), lengths_of(2, ragged=True)
    llm = LanguageModel(base)
    wide = LoraAdapters.of(base.llm, LoraSettings(rank=(2, 8), alpha=8.0))
    narrow = LoraAdapters.of(base.llm, LoraSettings(rank=2, alpha=2.0))  # the same scale
    assert wide.scale == narrow.scale
    mask = rank_mask(wide.space, 2)
    assert mask.sum() == narrow.space.size
    own = random_params(narrow, 2)
    padded = torch.zeros(2, wide.space.size, dtype=torch.float64)
    padded[:, mask.bool()] = own
    grads = gradients(llm, wide, padded, lengths)
    torch.testing.assert_close(
        grads[:, mask.bool()], gradients(llm, narrow, own, lengths), rtol=0, atol=1e-12
    )
    assert not grads[:, ~mask.bool()].any()


def test_initial_adapters_change_nothing_and_are_drawn_as_peft_draws() -> None:
    base = backbone()
    adapters = LoraAdapters.of(base.llm, LoraSettings(rank=4))
    params = adapters.init(torch_stream(0, "init"))
    for name, value in adapters.space.views(params).items():
        if name.endswith("lora_B.weight"):
            assert not value.any()
        else:
            bound = value.shape[1] ** -0.5
            assert value.abs().max() <= bound and value.std() == pytest.approx(bound / 3**0.5, rel=0.25)


def test_a_moved_base_is_another_weight_and_the_own_one_stays() -> None:
    base = backbone()
    adapters = LoraAdapters.of(base.llm, LoraSettings(rank=4, targets=("q_proj",)))
    before = {name: value.clone() for name, value in base.llm.state_dict().items()}
    params = random_params(adapters, 1)
    path, layer = next(iter(adapters.layers.items()))
    inputs = torch.randn(3, 16, generator=torch_stream(4, "x"), dtype=torch.float64)
    bases = {name: each.weight + 1 for name, each in adapters.layers.items()}
    with adapters.attached(params, bases=bases):
        moved = layer(inputs)
    views = adapters.space.views(params[0])
    delta = adapters.scale * views[f"{path}.lora_B.weight"] @ views[f"{path}.lora_A.weight"]
    torch.testing.assert_close(moved, inputs @ (layer.weight + 1 + delta).mT)
    torch.testing.assert_close(layer(inputs), inputs @ layer.weight.mT)
    assert all(torch.equal(value, before[name]) for name, value in base.llm.state_dict().items())


@pytest.mark.parametrize("counts", [(4, 4, 4), (1, 7, 4), (12, 0, 0)])
def test_products_by_client(counts: tuple[int, ...]) -> None:
    generator = torch_stream(0, "segments")
    rows, right = (torch.randn(12, width, generator=generator) for width in (5, 3))
    matrices = torch.randn(3, 5, 2, generator=generator)
    parts = list(zip(rows.split(counts), right.split(counts), matrices, strict=True))
    torch.testing.assert_close(
        times_own(rows, matrices, counts), torch.cat([part @ own for part, _, own in parts])
    )
    torch.testing.assert_close(
        own_outer(rows, right, counts), torch.stack([part.mT @ other for part, other, _ in parts])
    )


def test_a_grouped_product_is_the_loop(monkeypatch: pytest.MonkeyPatch) -> None:
    generator = torch_stream(0, "segments")
    rows, right = (torch.randn(12, width, generator=generator) for width in (8, 4))
    matrices, counts = torch.randn(3, 8, 4, generator=generator), (1, 7, 4)
    loop = times_own(rows, matrices, counts), own_outer(rows, right, counts)
    monkeypatch.setattr("fedbench.models.segments._grouped", lambda *operands: True)
    torch.testing.assert_close(times_own(rows, matrices, counts), loop[0])
    torch.testing.assert_close(own_outer(rows, right, counts), loop[1])


@pytest.mark.parametrize(
    ("settings", "complaint"),
    [
        (LoraSettings(targets=("q_porj",)), "no module of the LLM is called 'q_porj'.*q_proj"),
        (LoraSettings(targets=("input_layernorm",)), "is a RMSNorm"),
        (LoraSettings(targets=("lm_head",)), "tied"),
        (LoraSettings(rank=17, targets=("q_proj",)), "rank 17 is too large.*16 × 16"),
    ],
)
def test_bad_settings_are_refused(settings: LoraSettings, complaint: str) -> None:
    with pytest.raises(UsageError, match=complaint):
        LoraAdapters.of(backbone().llm, settings)


def test_a_quantised_linear_is_refused() -> None:
    llm = backbone().llm
    llm.model.layers[0].self_attn.q_proj = type("Linear4bit", (torch.nn.Linear,), {})(16, 16)
    with pytest.raises(UsageError, match="Linear4bit"):
        LoraAdapters.of(llm, LoraSettings(targets=("q_proj",)))
