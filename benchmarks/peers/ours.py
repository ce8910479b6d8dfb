"""fedbench's own round loop on the workload; ``--how`` is what ``fedbench run --executor`` takes."""

import time

import numpy as np
import torch
from workload import asked, network, report

from fedbench.api.scenario import Federation, Training
from fedbench.federation.executors import asked_executor, make_executor
from fedbench.federation.loop import federate, next_call
from fedbench.federation.module_task import ModuleTask
from fedbench.federation.setup import FederationSetup
from fedbench.testing.contracts import make


def setup_of(workload, shards):
    """FedAvg on the workload."""
    plan = workload.plan
    task = ModuleTask(
        module=network().to(workload.dtype),
        inputs=workload.inputs,
        targets=workload.targets,
        criterion=lambda outputs, targets: torch.nn.functional.cross_entropy(
            outputs, targets, reduction="none"
        ),
    )
    return FederationSetup(
        task=task,
        aggregator=make("fedavg"),
        shards=shards,
        federation=Federation(clients=plan["clients"], rounds=plan["all_rounds"], cohort=plan["cohort"]),
        training=Training(
            batch_size=plan["batch_size"], lr=plan["lr"], optimizer="sgd", schedule="constant",
            grad_norm=None,
            weight_decay=0.0,
        ),
        seed=plan["seed"],
    )  # fmt: skip


def main():
    workload, rounds, options = asked()
    torch.set_num_threads(options.processes if options.how.startswith("batched") else 1)
    with np.load(workload.folder / "shards.npz") as file:
        shards = [file[str(client)] for client in range(workload.plan["clients"])]
    setup = setup_of(workload, shards)
    state = setup.initial(workload.start)
    first = next_call(setup, state).work
    executor = make_executor(asked_executor(options.how), setup.task, first, setup.training)
    seconds, running = [], federate(setup, executor, state)
    for _ in range(rounds):
        began = time.perf_counter()
        done = next(running)
        seconds.append(time.perf_counter() - began)
    report(options, seconds, done.after.state["params"])


if __name__ == "__main__":
    main()
