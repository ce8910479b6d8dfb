"""Connectors along the client axis: each client's outputs and gradients are those of a module of its own."""

import pytest
import torch
from test_lora import backbone
from torch import nn

from fedbench import ParamSpace, UsageError, torch_stream
from fedbench.models.connectors import Resampler, make_connector

TOKENS, FEATURES, WIDTH = 4, 6, 16


class Gated(nn.Module):
    """A connector that a backbone brings."""

    def __init__(self):
        super().__init__()
        self.norm = nn.LayerNorm(FEATURES)
        self.gate, self.value = nn.Linear(FEATURES, WIDTH), nn.Linear(FEATURES, WIDTH)

    def forward(self, visual):
        normed = self.norm(visual)
        return self.gate(normed).sigmoid() * self.value(normed)


def modules():
    mlp = nn.Sequential()
    mlp.add_module("up", nn.Linear(FEATURES, 5))
    mlp.add_module("act", nn.GELU())
    mlp.add_module("down", nn.Linear(5, WIDTH))
    return {
        "mlp2": mlp,
        "linear": nn.Linear(FEATURES, WIDTH),
        "resampler": Resampler(FEATURES, WIDTH, TOKENS),
        "backbone": Gated(),
    }


def connector(name):
    base = backbone()
    object.__setattr__(base, "connector", Gated())
    return make_connector(name, base, TOKENS, FEATURES, 5)


@pytest.mark.parametrize("name", ["mlp2", "linear", "resampler", "backbone"])
def test_clients_together_are_modules_of_their_own(name):
    made, module = connector(name), modules()[name].double()
    assert made.space.shapes == ParamSpace.of(module).shapes
    generator = torch_stream(0, "connector")
    params = torch.randn(3, made.space.size, generator=generator).double().requires_grad_(True)
    features = torch.randn(3, 2, TOKENS, FEATURES, generator=generator).double()
    out = made(params, features)
    assert out.shape == (3, 2, TOKENS, WIDTH)
    (grads,) = torch.autograd.grad(out.tanh().sum(), params)
    for client in range(3):
        nn.utils.vector_to_parameters(params[client].detach(), module.parameters())
        module.zero_grad()
        alone = module(features[client])
        alone.tanh().sum().backward()
        torch.testing.assert_close(out[client], alone, rtol=0, atol=1e-12)
        own = torch.cat([parameter.grad.reshape(-1) for parameter in module.parameters()])
        torch.testing.assert_close(grads[client], own, rtol=0, atol=1e-10)


@pytest.mark.parametrize("name", ["linear", "resampler"])
def test_a_start_is_drawn_and_maps_images_to_tokens(name):
    made = connector(name)
    params = made.init(torch_stream(0, "init"))
    assert torch.equal(params, made.init(torch_stream(0, "init")))
    assert made(params[None], torch.ones(1, 1, TOKENS, FEATURES)).isfinite().all()


def test_a_backbone_without_a_connector_is_refused():
    with pytest.raises(UsageError, match="brings no connector"):
        make_connector("backbone", backbone(), TOKENS, FEATURES, 5)


@pytest.mark.parametrize("name", ["linear", "resampler"])
def test_a_run_trains_it(fedbench, tiny, name):
    code, _, err = fedbench("run", "-m", "fedavg", "-s", "tiny", "--set", f"training.connector={name}")
    assert code == 0 and "connector" not in err, err
