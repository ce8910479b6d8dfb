"""Reward models: three architectures, one interface, a client axis that changes nothing."""

import pytest
import torch

from fedbench.api.reward_fuser import ResponseBatch
from fedbench.catalog import Catalog
from fedbench.models.functional import Functional
from fedbench.models.language import LanguageModel
from fedbench.models.rewards import ARCHITECTURES, make_reward
from fedbench.plugins import Plugins
from fedbench.rng import torch_stream

CLIENTS, BATCH, TOKENS, FEATURES, LENGTH = 3, 5, 4, 112, 9


@pytest.fixture(scope="module")
def llm():
    return LanguageModel(Catalog(Plugins()).backbones["nano"].create(None).freeze(torch.device("cpu")))


def as_judged(llm, visual, ids, mask):
    return ResponseBatch(visual, ids, llm.embed(ids), mask, torch.zeros(ids.shape[:-1], dtype=torch.long))


@pytest.fixture(scope="module")
def responses(llm):
    stream = torch_stream(0, "judged")
    lengths = torch.randint(2, LENGTH + 1, (CLIENTS, BATCH, 1), generator=stream)
    return as_judged(
        llm,
        torch.randn(CLIENTS, BATCH, TOKENS, FEATURES, generator=stream),
        torch.randint(3, 2000, (CLIENTS, BATCH, LENGTH), generator=stream),
        torch.arange(LENGTH) < lengths,
    )


def started(model):
    """Parameters [C, P]; the VLM's head, which starts at zero, made to say something."""
    rows = [model.init(torch_stream(k, "reward")) for k in range(CLIENTS)]
    return torch.stack(rows) + 0.05 * torch.randn(CLIENTS, model.space.size, generator=torch_stream(9, "r"))


def at(responses, client, row):
    part = (slice(client, client + 1), slice(row, row + 1))
    return ResponseBatch(
        *(getattr(responses, name)[part] for name in ("visual", "ids", "text", "mask", "images"))
    )


@pytest.mark.parametrize("name", ARCHITECTURES)
def test_every_client_and_answer_is_judged_as_if_alone(name, llm, responses):
    model = make_reward(name, llm, FEATURES, 16)
    params = started(model)
    together = model(params, responses)
    assert together.shape == (CLIENTS, BATCH) and together.std() > 0
    for client in range(CLIENTS):
        for row in range(BATCH):
            alone = model(params[client : client + 1], at(responses, client, row))
            torch.testing.assert_close(alone[0, 0], together[client, row], rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("name", ARCHITECTURES)
def test_padding_says_nothing(name, llm, responses):
    model = make_reward(name, llm, FEATURES, 16)
    params = started(model)
    other = torch.where(responses.mask, responses.ids, 7)
    torch.testing.assert_close(
        model(params, as_judged(llm, responses.visual, other, responses.mask)),
        model(params, responses),
        rtol=1e-5,
        atol=1e-6,
    )


@pytest.mark.parametrize("name", ARCHITECTURES)
def test_rewards_depend_on_image_and_words_and_reach_every_parameter(name, llm, responses):
    model = make_reward(name, llm, FEATURES, 16)
    params = started(model).requires_grad_()
    found = model(params, responses)
    (gradient,) = torch.autograd.grad(found.square().sum(), params)
    assert (gradient.abs().sum(1) > 0).all()
    assert all((part.abs().sum() > 0) for part in model.space.views(gradient).values())
    with torch.no_grad():
        blind = model(params, as_judged(llm, responses.visual * 0, responses.ids, responses.mask))
        mute = model(params, as_judged(llm, responses.visual, responses.ids.flip(1), responses.mask))
    assert not torch.allclose(blind, found) and not torch.allclose(mute, found)


def test_a_module_as_a_function_is_the_module():
    module = torch.nn.Sequential(torch.nn.Linear(4, 6), torch.nn.GELU(), torch.nn.Linear(6, 2))
    function = Functional(module)
    flat = function.space.flatten({name: value.detach() for name, value in module.named_parameters()})
    inputs = torch.randn(2, 5, 4, generator=torch_stream(0, "in"))
    found = function(torch.stack([flat, 2 * flat]), inputs)
    torch.testing.assert_close(found[0], module(inputs[0]).detach())
    assert not torch.allclose(found[1], module(inputs[1]))
    drawn = function.init(torch_stream(1, "init"))
    other = Functional(torch.nn.Sequential(torch.nn.Linear(4, 6), torch.nn.GELU(), torch.nn.Linear(6, 2)))
    assert torch.equal(drawn, other.init(torch_stream(1, "init"))), "the stream decides, not the module"
    assert function.space.views(drawn)["0.weight"].abs().max() <= 0.5


def test_a_module_keeps_its_buffers():
    class Shifted(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.scale = torch.nn.Parameter(torch.ones(()))
            self.register_buffer("shift", torch.arange(3.0))

        def forward(self, x):
            return self.scale * x + self.shift

    function = Functional(Shifted())
    assert function.space.size == 1
    found = function(torch.tensor([[2.0], [0.0]]), torch.ones(2, 3))
    assert found.tolist() == [[2.0, 3.0, 4.0], [0.0, 1.0, 2.0]]
