"""Rounds of FedAvg over clients of one linear layer, in a process of its own: their time and peak memory.

::

    python benchmarks/federated_rounds.py --clients 1000 --cohort 50 --parameters 100000

prints a line of JSON. The layer is so cheap to train that what is left is the engine's own work.
"""

import argparse
import json
import resource
import statistics
import sys
import time
from dataclasses import replace

import numpy as np
import torch

from fedbench.api.scenario import Federation, Training
from fedbench.federation.executors import asked_executor, make_executor
from fedbench.federation.loop import federate, next_call
from fedbench.federation.module_task import ModuleTask
from fedbench.federation.setup import FederationSetup
from fedbench.rng import torch_stream
from fedbench.testing.contracts import make

INPUTS = 100


def setup_of(*, method, clients, cohort, parameters, rounds, examples):
    """Every client has two batches of one example a round."""
    generator = torch_stream(0, "bench")
    task = ModuleTask(
        module=torch.nn.Linear(INPUTS, parameters // INPUTS, bias=False),
        inputs=torch.randn(examples, INPUTS, generator=generator),
        targets=torch.randn(examples, 1, generator=generator),
        criterion=lambda outputs, targets: (outputs - targets).square().mean(1),
    )
    return FederationSetup(
        task=task,
        aggregator=make(method),
        shards=[np.arange(2 * rounds) % examples] * clients,
        federation=Federation(clients=clients, rounds=rounds, cohort=cohort),
        training=Training(batch_size=1, lr=0.01, optimizer="sgd", schedule="constant", grad_norm=None),
        seed=0,
    )


def main():
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--method", default="fedavg")
    parser.add_argument("--clients", type=int, default=100)
    parser.add_argument("--cohort", type=int, default=10)
    parser.add_argument("--parameters", type=int, default=100_000)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--measure", type=int, default=5, help="the last so many of the rounds")
    parser.add_argument("--examples", type=int, default=1000, help="rows of data")
    parser.add_argument("--executor", default="auto", help="as fedbench run takes it")
    asked = vars(parser.parse_args())
    executor, measure = asked_executor(asked.pop("executor")), asked.pop("measure")
    setup = setup_of(**asked)
    # the last rounds, in which all that grows with their number has grown
    state = replace(setup.initial(setup.task.init), round=max(0, asked["rounds"] - measure))
    call = next_call(setup, state)
    chosen = make_executor(executor, setup.task, call.work, setup.training)
    seconds, began = [], time.perf_counter()
    for _ in federate(setup, chosen, state):
        seconds.append(time.perf_counter() - began)
        began = time.perf_counter()
    unit = 1 if sys.platform == "darwin" else 1024
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit
    print(json.dumps({"seconds": statistics.median(seconds[1:] or seconds), "peak_bytes": peak}))


if __name__ == "__main__":
    main()
