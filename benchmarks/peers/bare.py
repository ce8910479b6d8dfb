"""The loop that everybody writes first: one module, plain SGD, client after client; in some processes."""

import time

import torch
from torch import multiprocessing
from workload import asked, load, network, report, train

SIDE = {}
"""Of a process: its workload and its model."""


def begin(workload):
    torch.set_num_threads(1)
    SIDE["workload"], SIDE["model"] = workload, network().to(workload.dtype)


def trained(job):
    flat, number, clients = job
    workload, model = SIDE["workload"], SIDE["model"]
    total = torch.zeros_like(flat)
    for client in clients:
        train(workload, load(model, flat), number, client)
        count = len(workload.work[number, client])
        total += count * torch.nn.utils.parameters_to_vector(model.parameters()).detach()
    return total


def main():
    workload, rounds, options = asked()
    flat, seconds = workload.start.clone(), []
    pool = None
    if options.processes > 1:
        context = multiprocessing.get_context("spawn")
        pool = context.Pool(options.processes, begin, (workload,))
    else:
        begin(workload)
    for number in range(rounds):
        began = time.perf_counter()
        clients = [client for client, _ in workload.plan["rounds"][number]]
        examples = sum(len(workload.work[number, client]) for client in clients)
        shares = [clients[share :: options.processes] for share in range(options.processes)]
        jobs = [(flat, number, share) for share in shares]
        flat = sum(pool.map(trained, jobs) if pool else map(trained, jobs)) / examples
        seconds.append(time.perf_counter() - began)
    if pool:
        pool.close()
        pool.join()
    report(options, seconds, flat)


if __name__ == "__main__":
    main()
