"""Any torch module is a task: its clients take the steps that a plain loop over them takes."""

import copy
from functools import partial

import pytest
import torch
from torch import nn

from fedbench.api.scenario import Federation, Training
from fedbench.federation.executors import Executor
from fedbench.federation.loop import federate
from fedbench.federation.module_task import ModuleTask
from fedbench.federation.plan import plan
from fedbench.federation.setup import FederationSetup
from fedbench.rng import torch_stream
from fedbench.testing.contracts import make

TRAINING = Training(
    batch_size=3, lr=0.1, optimizer="sgd", schedule="constant", grad_norm=None, weight_decay=0.0
)
EXECUTORS = {
    "serial": Executor(name="serial", chunk=1),
    "batched": Executor(name="batched", chunk=4),
    "one worker": Executor(name="workers", chunk=1, workers=1),
    "three workers": Executor(name="workers", chunk=1, workers=3),
}


def task(dtype=torch.float32):
    generator = torch_stream(0, "images")
    norm = nn.BatchNorm2d(3, affine=False).eval()
    module = nn.Sequential(nn.Conv2d(1, 3, 3), nn.ReLU(), norm, nn.Flatten(), nn.Linear(48, 4)).to(dtype)
    for parameter in module.parameters():
        nn.init.normal_(parameter, std=0.2, generator=generator)
    return ModuleTask(
        module=module,
        inputs=torch.randn(40, 1, 6, 6, generator=generator).to(dtype),
        targets=torch.randint(4, (40,), generator=generator),
        criterion=partial(nn.functional.cross_entropy, reduction="none"),
    )


def setup_of(task, method="fedavg"):
    shards = [torch.arange(first, first + 10).numpy() for first in (0, 10, 20, 30)]
    return FederationSetup(
        task=task,
        aggregator=make(method),
        shards=[*shards[:3], shards[3][:5]],
        federation=Federation(clients=4, rounds=2),
        training=TRAINING,
        seed=0,
    )


@pytest.mark.parametrize("executor", EXECUTORS.values(), ids=EXECUTORS)
def test_rounds_are_those_of_a_plain_loop(executor):
    ours = task(torch.float64)
    setup = setup_of(ours)
    rounds = list(federate(setup, executor, setup.initial(ours.init)))
    params = ours.init
    for number in (1, 2):
        after, counts = [], []
        for item in plan(setup, range(4), number):
            model = copy.deepcopy(ours.module)
            nn.utils.vector_to_parameters(params.clone(), model.parameters())
            optimizer = torch.optim.SGD(model.parameters(), lr=TRAINING.lr)
            for batch in torch.from_numpy(item.examples).split(TRAINING.batch_size):
                optimizer.zero_grad()
                nn.functional.cross_entropy(model(ours.inputs[batch]), ours.targets[batch]).backward()
                optimizer.step()
            after.append(nn.utils.parameters_to_vector(model.parameters()).detach())
            counts.append(len(item.examples))
        params = (torch.stack(after) * torch.tensor(counts)[:, None]).sum(0) / sum(counts)
        torch.testing.assert_close(rounds[number - 1].after.state["params"], params, rtol=0, atol=1e-12)


@pytest.mark.parametrize("method", ["fedavg", "scaffold", "moon"])
def test_workers_have_the_bits_of_one_process_on_one_thread(method, one_thread):
    def digests(name):
        if method == "moon":  # its rule looks at visual tokens
            from fedbench.testing.toy import ToyTask, toy_setup

            setup, start = toy_setup(make(method), clients=5), ToyTask().init()
        else:
            setup = setup_of(task(), method)
            start = setup.task.init
        return [done.digest for done in federate(setup, EXECUTORS[name], setup.initial(start))]

    assert digests("one worker") == digests("three workers") == digests("serial")


@pytest.fixture
def one_thread():
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def test_the_module_is_left_as_it_was():
    ours = task()
    before = copy.deepcopy(ours.module.state_dict())
    setup = setup_of(ours)
    list(federate(setup, EXECUTORS["batched"], setup.initial(ours.init)))
    assert all(torch.equal(value, before[name]) for name, value in ours.module.state_dict().items())


def test_a_client_without_examples_has_no_loss():
    ours = task()
    params = ours.init.repeat(2, 1).requires_grad_(True)
    loss = ours.loss(params, torch.tensor([[0, 1], [-1, -1]]))
    assert loss[1] == 0
    (gradient,) = torch.autograd.grad(loss.sum(), params)
    assert gradient[0].any() and not gradient[1].any()


def test_tied_weights_are_one_parameter():
    module = nn.Sequential(nn.Linear(3, 3, bias=False), nn.Linear(3, 3, bias=False))
    module[1].weight = module[0].weight
    ours = ModuleTask(
        module=module, inputs=torch.ones(1, 3), targets=torch.zeros(1, 3),
        criterion=lambda outputs, targets: (outputs - targets).square().mean(1),
    )  # fmt: skip
    assert ours.space.size == 9
    params = torch.eye(3).flatten()[None] * 2
    assert ours.loss(params, torch.tensor([[0]])) == 16  # 2 · 2 · 1, squared
