"""One server step over a large cohort of random updates, in a process of its own: its time and extra memory.

::

    python benchmarks/server_step.py median --clients 50 --parameters 10000000
    python benchmarks/server_step.py median --plain

prints a line of JSON. With ``--plain`` the step is the textbook expression over the whole cohort instead.
"""

import argparse
import json
import resource
import sys
import time

import torch

from fedbench.api.aggregator import Context
from fedbench.api.cohort import Cohort
from fedbench.params import ParamSpace
from fedbench.rng import torch_stream
from fedbench.testing.contracts import make

BETA, F, KEEP, DROP = 0.2, 1, 0.2, 0.1
"""The defaults of trimmed-mean, krum, fedavg-ties and fedavg-dare."""


def cohort_of(clients, parameters):
    """Updates of a tenth of the weights' size, parts of one vector of noise; memory peaks at the cohort."""
    generator = torch_stream(0, "bench")
    start = torch.empty(clients, parameters)
    start[:] = torch.randn(parameters, generator=generator)
    noise = torch.randn(parameters + 997 * clients, generator=generator)
    params = torch.empty_like(start)
    for client in range(clients):
        torch.mul(noise[997 * client :][:parameters], 0.1, out=params[client])
        params[client] += start[client]
    return Cohort(
        round=1,
        clients=tuple(range(clients)),
        params=params,
        start=start,
        num_examples=torch.arange(1, clients + 1),
        steps=torch.full((clients,), 3),
        space=ParamSpace({"w": (parameters,)}),
        stream=lambda *names: torch_stream(0, *names),
    )


def ours(method, cohort):
    """The method's step, as a function of nothing."""
    aggregator = make(method)
    state = aggregator.initial_state(cohort.start[0], Context(cohort.space, len(cohort.clients), 10))
    return lambda: aggregator.aggregate(state, cohort)


def plain(method, cohort):
    """The textbook expression of the method's step, as a function of nothing."""
    x, moment = cohort.start[0], torch.zeros(cohort.params.shape[1])
    steps = {
        "fedavg": lambda: cohort.weights @ cohort.params,
        "fedavgm": lambda: plain_momentum(cohort, x, moment),
        "fedadam": lambda: plain_adam(cohort, x, moment),
        "median": lambda: plain_median(cohort.params),
        "trimmed-mean": lambda: plain_trimmed(cohort.params),
        "krum": lambda: plain_krum(cohort),
        "fedavg-ties": lambda: x + plain_ties(cohort.params - cohort.start, cohort.weights[:, None]),
        "fedavg-dare": lambda: x + plain_dare(cohort),
    }
    return steps[method]


METHODS = ("fedavg", "fedavgm", "fedadam", "median", "trimmed-mean", "krum", "fedavg-ties", "fedavg-dare")


def plain_momentum(cohort, x, velocity):
    velocity = 0.9 * velocity + cohort.weights @ (cohort.params - cohort.start)
    return x + velocity, velocity


def plain_adam(cohort, x, moment):
    update = cohort.weights @ (cohort.params - cohort.start)
    first = 0.9 * moment + 0.1 * update
    second = 0.99 * moment + 0.01 * update.square()
    return x + 1e-2 * first / (second.sqrt() + 1e-3), first, second


def plain_median(params):
    rows = params.sort(dim=0).values
    return (rows[(len(rows) - 1) // 2] + rows[len(rows) // 2]) / 2


def plain_trimmed(params):
    cut = int(BETA * len(params))
    return params.sort(dim=0).values[cut : len(params) - cut].mean(0)


def plain_krum(cohort):
    updates = (cohort.params - cohort.start).double()
    squared = torch.cdist(updates, updates).square().fill_diagonal_(torch.inf)
    scores = squared.sort(dim=1).values[:, : len(updates) - F - 2].sum(1)
    return cohort.params[scores.argmin()]


def plain_ties(updates, shares):
    size = updates.shape[1]
    smallest = updates.abs().kthvalue(size - round(KEEP * size) + 1, dim=1, keepdim=True).values
    kept = torch.where(updates.abs() >= smallest, updates, 0.0)
    voting = shares * ((kept.sign() == (shares * kept).sum(0).sign()) & (kept != 0))
    return (voting * kept).sum(0) / voting.sum(0).clamp_min(1e-38)


def plain_dare(cohort):
    kept = torch.rand(cohort.params.shape, generator=torch_stream(0, "dare")) >= DROP
    return cohort.weights @ (kept * (cohort.params - cohort.start) / (1 - DROP))


def peak():
    """The most memory that this process has held, in bytes."""
    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit


def main():
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("method", choices=METHODS)
    parser.add_argument("--clients", type=int, default=50)
    parser.add_argument("--parameters", type=int, default=1_000_000)
    parser.add_argument("--plain", action="store_true")
    parser.add_argument("--repeats", type=int, default=1, help="the least time of so many")
    asked = parser.parse_args()
    step_of = plain if asked.plain else ours
    step_of(asked.method, cohort_of(asked.clients, 50_000))()  # libraries load, buffers are allocated
    cohort = cohort_of(asked.clients, asked.parameters)
    step = step_of(asked.method, cohort)
    before, seconds = peak(), []
    for _ in range(asked.repeats):
        begin = time.perf_counter()
        step()
        seconds.append(time.perf_counter() - begin)
    extra = peak() - before
    matrix = cohort.params.numel() * cohort.params.element_size()
    print(json.dumps({"seconds": min(seconds), "extra_bytes": extra, "share": extra / matrix}))


if __name__ == "__main__":
    main()
